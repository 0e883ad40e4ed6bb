"""Weight files of every format: read by their contents, written in the format asked for."""

from __future__ import annotations

import os
from pathlib import Path

from minidl import schema
from minidl.errors import UsageError
from minidl.storage import caffemodel, files, sniff, weights_hdf5, weights_npz, weights_safetensors
from minidl.storage.content import Weights

CAFFEMODEL, HDF5, NPZ, SAFETENSORS = "caffemodel", "hdf5", "npz", "safetensors"
SUFFIXES = {".h5": HDF5, ".hdf5": HDF5, ".npz": NPZ, ".safetensors": SAFETENSORS}
FORMATS = (CAFFEMODEL, HDF5, NPZ, SAFETENSORS)


def read(path: str | os.PathLike[str]) -> Weights:
    """Return the weights in a file of any of the formats, told apart by their first bytes.

    Errors: FormatError for a file that is cut short, damaged or of another kind; UsageError for a
    path that cannot be read, or whose format needs a package that is not installed.
    """
    head = files.head(path, "weights")
    if sniff.is_hdf5(head):
        return weights_hdf5.read(path)
    if head.startswith(b"PK\x03\x04"):
        return weights_npz.read(path)
    if sniff.is_safetensors(head):
        return weights_safetensors.read(path)
    return caffemodel.read(path)


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a file's name asks for; by default Caffe's binary one.

    >>> format_of("lenet_iter_500.caffemodel.h5"), format_of("lenet.caffemodel")
    ('hdf5', 'caffemodel')
    """
    return SUFFIXES.get(Path(path).suffix.lower(), CAFFEMODEL)


def write(path: str | os.PathLike[str], weights: Weights, kind: str) -> None:
    """Write weights in the format `kind`; the file appears whole or not at all.

    A .caffemodel or HDF5 file made from a file that has arrays only holds layers' names, types and
    blobs, which is all that Caffe reads when it loads weights.

    Errors: UsageError for a path that cannot be written, for a format whose package is missing, and
    for a .caffemodel of weights that lack a parameter because it is stored with another layer.
    """
    if kind == NPZ:
        weights_npz.write(path, weights)
    elif kind == SAFETENSORS:
        weights_safetensors.write(path, weights)
    elif kind in (CAFFEMODEL, HDF5):
        net = schema.NetParameter(name=weights.name)
        for layer in weights.layers:
            net.layer.add(name=layer.name, type=layer.type)
        blobs = {layer.name: layer.blobs for layer in weights.layers}
        if kind == HDF5:
            weights_hdf5.write(path, net, blobs)
            return
        for layer in weights.layers:
            if any(blob is None for blob in layer.blobs):
                raise UsageError(
                    f"layer '{layer.name}' shares parameters that the file has with another layer "
                    "only; a .caffemodel has them with both",
                    where=str(path),
                    fix="load the file into its net and save that: Net(model, weights=...).save()",
                )
        caffemodel.write(path, net, blobs)
    else:
        raise UsageError(f"there is no format '{kind}'", expected=", ".join(FORMATS))
