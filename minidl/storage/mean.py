"""Mean images: one BlobProto in a .binaryproto file."""

from __future__ import annotations

import os

import numpy as np

from minidl.errors import FormatError
from minidl.storage import arrays, files, sniff, wire


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """The mean image in a .binaryproto file, (C, H, W) float32.

    Errors: FormatError for a damaged file or one that does not hold a single image.
    """
    data = files.read(path, "mean image")
    reader = wire.Reader(data, str(path), sniff.MEAN)
    if not data.size:
        reader.fail(0, "", "nothing")
    array, _ = arrays.parse(reader, 0, data.size, "the mean image")
    shape = array.shape[1:] if array.ndim == 4 and array.shape[0] == 1 else array.shape
    if len(shape) != 3 or array.size == 0:
        raise FormatError(
            f"holds an array of shape {array.shape}",
            where=str(path),
            expected="one image: (C, H, W) or (1, C, H, W)",
        )
    return array.reshape(shape).astype(np.float32)
