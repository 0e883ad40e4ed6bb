"""Weights in HDF5, as Caffe's snapshot_format: HDF5 writes them (.caffemodel.h5).

    /data/conv1/0, /data/conv1/1     the blobs of layer conv1, float32 (or float64)
    /diff/conv1/0, ...               their gradients, with snapshot_diff
    /minidl                          ours: the order and types of the layers; Caffe ignores it

Every layer has its group, those without blobs an empty one. A parameter that layers share is
stored with each of them, as in a .caffemodel, so that a net with one of the layers finds it. Caffe,
which reads such a file, itself stores it with the first of them only.

Slashes: a name in HDF5 cannot hold one. Layer inception_3a/1x1 is a group 1x1 within a group
inception_3a, which is what the path /data/inception_3a/1x1/0 means to HDF5. Caffe, which makes no
groups within groups, cannot write such a layer, and ignores it when it reads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from minidl.errors import FormatError, UsageError
from minidl.storage import content, hdf5
from minidl.storage.content import LayerWeights, Weights


def read(path: str | os.PathLike[str]) -> Weights:
    """Return the weights in an HDF5 file of Caffe's or ours; gradients are skipped.

    Errors: FormatError for a file that is cut short, damaged or of another kind; UsageError for a
    path that cannot be read, and where h5py is not installed.
    """
    where = str(path)
    with hdf5.reading(path, "weights") as file:
        data = file.get("data")
        if not hasattr(data, "keys"):
            state = "iter" in file and "history" in file
            raise FormatError(
                "is a solver state in HDF5" if state else "has no group 'data'",
                where=where,
                expected="weights as Caffe writes them in HDF5: /data/LAYER/INDEX",
            )
        found = {f"/data/{name}": dataset for name, dataset in hdf5.datasets(data, where)}
        hdf5.check_all(found, path, "weights")
        arrays = {
            name.removeprefix("/data/"): hdf5.floats(dataset, name, where)
            for name, dataset in found.items()
        }
        said = content.DESCRIPTION in file
        text = hdf5.text(file, content.DESCRIPTION, where) if said else ""
    return content.gather(arrays, text, where, owners_only=not text)


def write(
    path: str | os.PathLike[str],
    net: Any,
    blobs: Mapping[str, Sequence[Any]],
    diffs: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Write weights so that Caffe reads them; the file appears whole or not at all.

    net      the NetParameter that runs: its layers' names and types are taken
    blobs    {layer name: arrays in order}; None for one that is stored with another layer
    diffs    their gradients, likewise

    Errors: UsageError where h5py is missing, for a path that cannot be written, and for names that
    HDF5 cannot hold: a layer 'a/0' next to a layer 'a' that has a blob 0.
    """
    layers = [LayerWeights(la.name, la.type, list(blobs.get(la.name, ()))) for la in net.layer]
    check_names(layers, str(path))
    with hdf5.writing(path) as file:
        _write_groups(file, "data", layers)
        if diffs is not None:
            gradients = [LayerWeights(la.name, "", list(diffs.get(la.name, ()))) for la in layers]
            _write_groups(file, "diff", gradients)
        stored = [layer for layer in layers if layer.blobs]
        said = Weights(net.name, stored, [], any(b is None for la in stored for b in la.blobs))
        hdf5.put_text(file, content.DESCRIPTION, content.describe(said))


def _write_groups(file: Any, name: str, layers: Sequence[LayerWeights]) -> None:
    root = file.create_group(name)
    for layer in layers:
        group = root.require_group(layer.name)
        for i, blob in enumerate(layer.blobs):
            if blob is not None:
                group.create_dataset(str(i), data=blob)


def check_names(layers: Sequence[LayerWeights], where: str) -> None:
    """Refuse layers whose names HDF5 would take for other places."""
    taken = {f"{la.name}/{i}": la.name for la in layers for i in range(len(la.blobs))}
    for layer in layers:
        parts = layer.name.split("/")
        if "\0" in layer.name or any(part in ("", ".", "..") for part in parts):
            raise UsageError(
                f"layer '{layer.name}' cannot be stored in HDF5 under its name",
                where=where,
                fix="rename the layer, or keep to the binary format: snapshot_format: BINARYPROTO",
            )
        for end in range(1, len(parts) + 1):
            other = taken.get("/".join(parts[:end]))
            if other is not None:
                raise UsageError(
                    f"layer '{layer.name}' cannot be stored in HDF5 next to layer '{other}', whose "
                    f"blobs have such names: {other}/0, {other}/1, ...",
                    where=where,
                    fix="rename one of them, or keep to the binary format: "
                    "snapshot_format: BINARYPROTO",
                )
