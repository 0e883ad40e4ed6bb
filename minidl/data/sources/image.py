"""Decode image files (JPEG, PNG, ...) to the arrays that Caffe's nets expect."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from minidl.errors import DataError

_BANDS = {"RGB": "BGR", "RGBA": "BGRA"}


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
        from PIL import Image
    except ImportError:
        raise DataError(
            "holds an encoded image, and Pillow, which decodes it, is not installed",
            fix="pip install 'minidl[images]'",
        ) from None
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode = _mode(image, color)
            image.load()
            picture = image if image.mode == mode else image.convert(mode)
            # Channel by channel: half the copying that turning an (H, W, C) array takes.
            bands = [picture] if mode == "L" else [picture.getchannel(c) for c in _BANDS[mode]]
            return np.stack([np.asarray(band) for band in bands])
    except DataError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise DataError(
            f"holds {len(data)} bytes that are not a whole image: {error or type(error).__name__}",
            expected="a JPEG, PNG or other image file",
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
