"""Weights in NumPy's .npz: a zip archive with one .npy for each blob, named LAYER/INDEX."""

from __future__ import annotations

import io
import os
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy

from minidl.errors import UsageError
from minidl.storage import content, files
from minidl.storage.content import Weights

_LONGEST_HEADER = 10_000  # of a .npy file, as NumPy itself has it


def read(path: str | os.PathLike[str]) -> Weights:
    """The weights in an .npz file; pickled objects in it are refused, not run.

    Errors: FormatError for a file that is cut short, damaged or of another kind; UsageError for a
    path that cannot be read.
    """
    where = str(path)
    expected = "a zip archive of .npy files, as numpy.savez writes it"
    packed = io.BytesIO(files.read(path, "weights").data)
    with files.explaining(path, ".npz", expected), zipfile.ZipFile(packed) as archive:
        members = {info.filename: info for info in archive.infolist()}
        unpacked = sum(info.file_size for info in members.values())
        files.check_unpacked(unpacked, path, "weights")
        text = _description(archive, members.pop(f"{content.DESCRIPTION}.json", None))
        arrays = {
            name.removesuffix(".npy"): _array(archive, info, where)
            for name, info in members.items()
        }
    return content.gather(arrays, text, where, owners_only=False)


def _description(archive: Any, info: Any) -> str:
    if info is None or info.file_size > 1 << 24:
        return ""
    return str(archive.read(info).decode("utf-8", "replace"))


def _array(archive: Any, info: Any, where: str) -> np.ndarray:
    """Return the array in one member; its size is compared before memory is taken for it."""
    with archive.open(info) as member:
        version = npy.read_magic(member)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = header(member, max_header_size=_LONGEST_HEADER)
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects")
        left = info.file_size - member.tell()
        count = 1
        for extent in shape:  # not math.prod: a hostile extent may be negative
            count *= max(extent, 0)
        if count * dtype.itemsize != left:
            raise ValueError(f"{info.filename} has the shape {shape}, but {left:,} bytes")
        values = np.frombuffer(member.read(), dtype)
    array = values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
    return content.as_floats(array, info.filename.removesuffix(".npy"), where)


def write(path: str | os.PathLike[str], weights: Weights) -> None:
    """Write weights as .npz, not compressed; the file appears whole or not at all.

    The same weights give the same bytes. numpy.load reads the file: `file["conv1/0"]`.
    """
    with files.replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        said = zipfile.ZipInfo(f"{content.DESCRIPTION}.json")  # dated 1980, whenever it is
        archive.writestr(said, content.describe(weights))
        for name, array in content.named(weights):
            if "\0" in name:  # where zipfile would cut the name off
                raise UsageError(
                    f"layer {name.rpartition('/')[0]!r} has a NUL byte in its name", where=str(path)
                )
            info = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(info, "w", force_zip64=True) as member:
                npy.write_array(member, np.ascontiguousarray(array).reshape(array.shape))
