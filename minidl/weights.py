"""Weights in and out of a net: by layer name, all or nothing, and nothing in silence."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.blob import Shape
from minidl.errors import MinidlError, WeightsError, nearest, raise_all
from minidl.storage import caffemodel

if TYPE_CHECKING:
    from minidl.net import Net

log = logging.getLogger("minidl")


def load(net: Net, path: str | os.PathLike[str]) -> None:
    """Copy a caffemodel's blobs into the layers of `net` that have the same name.

    Every misfit is collected first, so a refused file leaves the net as it was. Layers of the
    file that the net lacks, and layers of the net that the file lacks, are logged as warnings.
    """
    source = caffemodel.read(path)
    for note in source.notes:
        log.info("%s: %s", path, note)
    stored = {layer.name: layer for layer in source.layers if layer.blobs}
    errors: list[MinidlError] = []
    copies: list[tuple[Any, Any]] = []
    for name, layer in stored.items():
        params = net.params.get(name)
        if params is None:
            near = nearest(name, net.params)
            hint = f"; the net's '{near}' has another name" if near and near not in stored else ""
            log.warning("Ignoring source layer %s of %s: not in the net%s", name, path, hint)
            continue
        if len(layer.blobs) != len(params):
            errors.append(
                WeightsError(
                    f"layer '{name}' has {len(layer.blobs)} blobs in the file, but "
                    f"{len(params)} in the net",
                    where=str(path),
                    fix="rename the net's layer to train it from scratch",
                )
            )
            continue
        for i, (param, blob) in enumerate(zip(params, layer.blobs, strict=True)):
            if not _fits(blob.shape, param.shape, layer.legacy[i]):
                errors.append(
                    WeightsError(
                        f"blob {i} of layer '{name}' has the shape {tuple(blob.shape)}",
                        where=str(path),
                        expected=f"{param.shape}, the net's shape",
                        fix="rename the net's layer to train it from scratch",
                    )
                )
            else:
                copies.append((param, blob))
    raise_all(errors)
    if not copies and net.params:
        raise WeightsError(
            f"none of its {len(stored)} layers with weights is in the net",
            where=str(path),
            expected=f"layers such as {', '.join(list(net.params)[:3])}",
            fix="weights are matched by layer name: is it the file of another net?",
        )
    for param, blob in copies:
        param.write(blob)
    for name in net.params:
        if name not in stored:
            log.warning("Layer %s keeps its initial values: %s has none for it", name, path)


def _fits(stored: Shape, wanted: Shape, legacy: bool) -> bool:
    """Same shape; the old four-axis form may have 1s in front (a bias is 1 x 1 x 1 x N)."""
    if legacy and len(wanted) <= 4:
        wanted = (1,) * (4 - len(wanted)) + tuple(wanted)
    return tuple(stored) == tuple(wanted)


def share(net: Net, other: Net) -> None:
    """Let `net`'s parameters use the arrays of `other`'s layers of the same name."""
    errors: list[MinidlError] = []
    pairs: list[tuple[Any, Any]] = []
    for name, params in other.params.items():
        ours = net.params.get(name)
        if ours is None:
            continue
        if net.dtype != other.dtype:
            raise WeightsError(
                f"is of {np.dtype(net.dtype)}",
                where=f"net '{net.name}'",
                expected=f"{np.dtype(other.dtype)}, as the net it shares parameters with",
            )
        shapes = [[p.shape for p in side] for side in (ours, params)]
        if shapes[0] != shapes[1]:
            errors.append(
                WeightsError(
                    f"layer '{name}' has parameters of shapes {shapes[0]}",
                    where=f"net '{net.name}'",
                    expected=f"{shapes[1]}, as in the net it shares them with",
                )
            )
        pairs += zip(ours, params, strict=False)
    raise_all(errors)
    for mine, theirs in pairs:
        mine.share(theirs, diff=False)
        mine.borrowed = True


def save(net: Net, path: str | os.PathLike[str], diffs: bool = False) -> None:
    """Write net and weights (and gradients, if `diffs`) as a caffemodel, atomically."""
    host = net.device.to_host
    data = {name: [host(p.read()) for p in params] for name, params in net.params.items()}
    gradients = {name: [host(p.read("diff")) for p in ps] for name, ps in net.params.items()}
    caffemodel.write(path, net.param, data, gradients if diffs else None)
