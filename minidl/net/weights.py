"""Weights in and out of a net: by layer name, all or nothing, and nothing in silence."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from minidl import prototxt
from minidl.arrays.blob import Param, Shape
from minidl.errors import MinidlError, WeightsError, nearest, raise_all
from minidl.net.state import State
from minidl.prototxt.upgrade_nvidia import SCALE_BIAS, STATISTICS
from minidl.storage import caffemodel, content, weight_files, weights_hdf5
from minidl.storage.content import LayerWeights, Weights

log = logging.getLogger("minidl")

HDF5 = weight_files.HDF5
MOST_SAID = 100  # layers that are named one by one, each with the nearest name of the net's
_ONCE = " (Caffe's HDF5 has what layers share with the first of them only)"


def load(net: State, *paths: str | os.PathLike[str], only: Collection[str] | None = None) -> None:
    """Copy the blobs of weight files, one after the other, into the net's layers of the same name.

    paths   .caffemodels, or HDF5, npz or safetensors with arrays named LAYER/INDEX
    only    the layers of the net to look at; nothing is said of the others

    Every misfit of a file is collected first, so one that is refused changes nothing. Warnings
    name, with their shapes, the layers of a file that the net lacks and the layers of the net that
    no file has; blobs that change their shape (files of 2014) are named in a line of the log.
    """
    missing = [name for name in net.params if only is None or name in only]
    for path in paths:
        source = weight_files.read(path)
        if only is not None:
            source.layers = [layer for layer in source.layers if layer.name in only]
        _load(net, source, path, must=only is None)
        without = set(lacking(net, source))
        missing = [name for name in missing if name in without]
    for name in missing if paths else ():
        files = " and ".join(map(str, paths))
        has = "has" if len(paths) == 1 else "have"
        shapes = _shapes(net.params[name])
        log.warning("Layer %s keeps its initial values %s: %s %s none", name, shapes, files, has)


def _load(net: State, source: Weights, path: str | os.PathLike[str], must: bool) -> None:
    for note in source.notes:
        log.info("%s: %s", path, note)
    for remark in content.drop_repeated(source):
        log.warning("%s %s", path, remark)
    _split_scale_bias(net, source)
    stored = {layer.name: layer for layer in source.layers if layer.blobs}
    copies = _pairs(net, stored, source.owners_only, path)
    if not copies and net.params and must:
        raise WeightsError(
            f"none of its {len(stored)} layers with weights is in the net",
            where=str(path),
            expected=f"layers such as {', '.join(list(net.params)[:3])}",
            fix="weights are matched by layer name: is it the file of another net?"
            + (_ONCE if source.owners_only else ""),
        )
    with np.errstate(over="ignore"):  # said below
        for param, blob in copies:
            param.values.write(blob.reshape(param.shape))
    _say_what_changed(copies, path)
    _say_what_is_no_number(copies, path)


def _split_scale_bias(net: State, source: Weights) -> None:
    """Give the scale and shift in NVIDIA's BatchNorm blobs to the Scale layer that represents them.

    Such a layer has five blobs: mean, variance, factor, scale, shift.
    """
    for layer in list(source.layers):
        name = layer.name + SCALE_BIAS
        if len(layer.blobs) == STATISTICS + 2 and name in net.params:
            blobs = [None if blob is None else blob.reshape(-1) for blob in layer.blobs]
            rest = LayerWeights(name, "Scale", blobs[STATISTICS:])
            rest.legacy = [False] * len(rest.blobs)
            layer.blobs, layer.legacy = blobs[:STATISTICS], [False] * STATISTICS
            source.layers.append(rest)


def lacking(net: State, source: Weights) -> list[str]:
    """Return the layers for which the file has no values, nor for those they share them with."""
    there = {
        id(param.values)
        for layer in source.layers
        for param, blob in zip(net.params.get(layer.name, ()), layer.blobs, strict=False)
        if blob is not None
    }
    return [
        name
        for name, params in net.params.items()
        if any(id(param.values) not in there for param in params)
    ]


def _pairs(
    net: State, stored: dict[str, LayerWeights], owners_only: bool, path: str | os.PathLike[str]
) -> list[tuple[Param, Any]]:
    """Pair (parameter, blob of the file) for all that is in both; refuse what does not fit."""
    errors: list[MinidlError] = []
    pairs: list[tuple[Param, Any]] = []
    shared = _shared(net)
    ignored = [layer for name, layer in stored.items() if name not in net.params]
    for layer in ignored[:MOST_SAID]:
        _say_ignored(net, layer, stored, path)
    if len(ignored) > MOST_SAID:
        more = len(ignored) - MOST_SAID
        log.warning("Ignoring %d more source layers of %s: not in the net", more, path)
    for name, layer in stored.items():
        if name not in net.params:
            continue
        params = net.params[name]
        blobs = {i: blob for i, blob in enumerate(layer.blobs) if blob is not None}
        absent = [i for i in range(len(params)) if i not in blobs]
        elsewhere = owners_only and all(shared[name][i] for i in absent)
        if len(layer.blobs) > len(params) or (absent and not elsewhere):
            errors.append(_other_count(net, name, len(blobs), path))
            continue
        for i, blob in blobs.items():
            if _fits(blob.shape, params[i].shape, layer.legacy[i]):
                pairs.append((params[i], blob))
                continue
            errors.append(
                WeightsError(
                    f"blob {i} of layer '{name}' has the shape {tuple(blob.shape)}",
                    where=str(path),
                    expected=f"{params[i].shape}, the net's shape",
                    fix="rename the net's layer to train it from scratch",
                )
            )
    raise_all(errors)
    return pairs


def _other_count(net: State, name: str, count: int, path: str | os.PathLike[str]) -> WeightsError:
    """Return the error for a layer with another number of blobs in the file than in the net."""
    fix = "rename the net's layer to train it from scratch"
    types = {layer.name: layer.type for layer in net.layers}
    if types[name] == "BatchNorm" and count == STATISTICS + 2:
        fix = (
            "it is a BatchNorm of NVIDIA's Caffe, whose last two blobs are a learned scale and "
            "shift: write batch_norm_param { scale_bias: true } in the net's layer"
        )
    found = f"layer '{name}' has {count} blobs in the file, but {len(net.params[name])} in the net"
    return WeightsError(found, where=str(path), fix=fix)


def _say_ignored(
    net: State, layer: LayerWeights, stored: dict[str, LayerWeights], path: str | os.PathLike[str]
) -> None:
    near = nearest(layer.name, net.params)
    hint = f"; the net's '{near}' has another name" if near and near not in stored else ""
    log.warning(
        "Ignoring source layer %s %s of %s: not in the net%s",
        layer.name,
        _shapes(blob for blob in layer.blobs if blob is not None),
        path,
        hint,
    )


def _shared(net: State) -> dict[str, list[bool]]:
    """Return for each parameter of each layer whether an earlier one has the same values."""
    seen: set[int] = set()
    found: dict[str, list[bool]] = {}
    for name, params in net.params.items():
        found[name] = []
        for param in params:
            found[name].append(id(param.values) in seen)
            seen.add(id(param.values))
    return found


def _say_what_changed(copies: list[tuple[Param, Any]], path: str | os.PathLike[str]) -> None:
    changed = [
        f"{param.name} {tuple(blob.shape)} as {param.shape}"
        for param, blob in copies
        if tuple(blob.shape) != tuple(param.shape)
    ]
    if changed:
        log.info("%s: old shapes of four axes are read as today's: %s", path, ", ".join(changed))
    if any(blob.dtype.itemsize > np.dtype(param.dtype).itemsize for param, blob in copies):
        log.info("%s: its 64-bit numbers are rounded to the net's 32 bits", path)


def _say_what_is_no_number(copies: list[tuple[Param, Any]], path: str | os.PathLike[str]) -> None:
    """Warn of NaN and infinities, and of 64-bit numbers that are infinite in 32 bits."""
    for param, blob in copies:
        with np.errstate(over="ignore"):
            bad = np.count_nonzero(~np.isfinite(blob.astype(param.dtype, copy=False)))
        own = np.count_nonzero(~np.isfinite(blob)) if bad else 0
        if own:
            text = "%s: values of %s that are NaN or infinite: %d of %d"
            log.warning(text, path, param.name, own, blob.size)
        if bad > own:
            text = "%s: values of %s beyond the range of %s, which become infinite: %d of %d"
            kind = np.dtype(param.dtype)
            log.warning(text, path, param.name, kind, bad - own, blob.size)


def _shapes(arrays: Iterable[Any]) -> str:
    return ", ".join(str(tuple(array.shape)) for array in arrays)


def _fits(stored: Shape, wanted: Shape, legacy: bool) -> bool:
    """Compare shapes; the old four-axis form may have 1s in front (a bias is 1 x 1 x 1 x N)."""
    if legacy and len(wanted) <= 4:
        wanted = (1,) * (4 - len(wanted)) + tuple(wanted)
    return tuple(stored) == tuple(wanted)


def save(net: State, path: str | os.PathLike[str], diffs: bool = False, kind: str = "") -> None:
    """Write a net's weights, atomically.

    diffs   gradients as well, in a caffemodel and in HDF5
    kind    the format; without it what the path ends in says it: .h5, .hdf5, .npz, .safetensors,
            and everything else is a caffemodel, which holds the net, too
    """
    host, param = net.device.to_host, prototxt.without_origins(net.blueprint.param)
    data = {name: [host(p.read()) for p in params] for name, params in net.params.items()}
    gradients = {}
    if diffs:
        gradients = {name: [host(p.read("diff")) for p in ps] for name, ps in net.params.items()}
    kind = kind or weight_files.format_of(path)
    if kind == weight_files.CAFFEMODEL:
        caffemodel.write(path, param, data, gradients if diffs else None)
    elif kind == weight_files.HDF5:
        weights_hdf5.write(path, param, data, gradients if diffs else None)
    else:
        types = {layer.name: layer.type for layer in param.layer}
        layers = [LayerWeights(name, types[name], blobs) for name, blobs in data.items()]
        for layer in layers:
            layer.legacy = [False] * len(layer.blobs)
        weight_files.write(path, Weights(param.name, layers, []), kind)
