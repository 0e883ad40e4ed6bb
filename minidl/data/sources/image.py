"""Decode image files (JPEG, PNG, ...) to the arrays that Caffe's nets expect."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from minidl.errors import DataError, UsageError
from minidl.storage import files

# What may be opened, by Pillow's names. Of all that Pillow knows, some are programs to be run by
# others (EPS by Ghostscript), some have hardly been read since they were written.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000")
MOST_BYTES = 1 << 30  # of a file
_BANDS = {"RGB": "BGR", "RGBA": "BGRA"}


def read(path: str, where: str) -> bytes:
    """The bytes of a file that a list names; `where` is the list. Errors: DataError."""
    try:
        return files.read(path, "image", limit=MOST_BYTES).tobytes()
    except UsageError as error:
        absent = not os.path.exists(path)
        raise DataError(
            f"{path} cannot be read: {error.found}",
            where=where,
            expected=error.expected,
            fix="set root_folder to what goes before the paths" if absent else "",
        ) from None


def decode(data: bytes, color: bool | None = None) -> np.ndarray:
    """An image file as uint8 of shape (C, H, W), channels in the order blue, green, red.

    data    the whole file
    color   True: 3 channels; False: 1 channel (grey); None: 1 for grey files, 3 for colour, and
            a fourth, alpha, where the file has one

    Needs Pillow, which refuses images of more than 178 million pixels: a small file can claim any
    size. Decoders round differently: values may differ by one or two from what OpenCV, which
    Caffe uses, makes of the same JPEG. Errors: DataError.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise DataError(
            "holds an encoded image, and Pillow, which decodes it, is not installed",
            fix="pip install 'minidl[images]'",
        ) from None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            mode = _mode(image, color)
            image.load()
            picture = image if image.mode == mode else image.convert(mode)
            # Channel by channel: half the copying that turning an (H, W, C) array takes.
            bands = [picture] if mode == "L" else [picture.getchannel(c) for c in _BANDS[mode]]
            return np.stack([np.asarray(band) for band in bands])
    except DataError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything
        unknown = isinstance(error, UnidentifiedImageError)
        why = "" if unknown else f": {str(error)[:200] or type(error).__name__}"
        raise DataError(
            f"holds {len(data)} bytes that are not a whole image{why}",
            expected=f"an image file: {', '.join(FORMATS)}",
        ) from None


def _mode(image: Any, color: bool | None) -> str:
    """The Pillow mode to convert to: L, RGB or RGBA."""
    mode: str = image.mode
    if mode.startswith(("I", "F")):
        raise DataError(f"holds an image of mode {mode}", expected="8 bits for each channel")
    if color is not None:
        return "RGB" if color else "L"
    if mode in ("1", "L"):
        return "L"
    alpha = mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    return "RGBA" if alpha else "RGB"
