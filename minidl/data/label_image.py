"""Label images: pictures whose pixels are numbers of classes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from minidl.data import planes
from minidl.data.sources import image
from minidl.errors import DataError

IGNORE = 255  # by custom: pixels that belong to no class
EXPECTED = "a paletted or grey picture, whose pixels are numbers of classes"


def decode(data: bytes) -> np.ndarray:
    """Return the labels in an image file, (1, H, W) uint8.

    Of a palette the numbers count, not the colours. Grey of 1 bit is 0 and 1, of 16 bits what it
    says. Errors: DataError for a file that is not such a picture.
    """
    image.decode(data)  # says what is wrong with the file
    with planes.pillow().open(io.BytesIO(data), formats=image.FORMATS) as picture:
        return _values(picture)[np.newaxis]


def _values(picture: Any) -> np.ndarray:
    mode = picture.mode
    if mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if mode in ("P", "L"):
        return np.asarray(picture)
    if mode in ("PA", "LA"):
        return np.asarray(picture)[..., 0]
    if mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() >= 0 and values.max() <= IGNORE:
            return values.astype(np.uint8)
        raise DataError(f"has labels up to {values.max():,}", expected=f"0 to {IGNORE}")
    raise DataError(f"is a picture of mode {mode}", expected=EXPECTED)
