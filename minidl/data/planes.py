"""Pillow on arrays (C, H, W): each channel is a picture of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import DataError


def pillow() -> Any:
    """Return Pillow's module Image. Errors: DataError if it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            "images are resized and augmented by Pillow, which is not installed",
            fix="pip install Pillow",
        ) from None
    return Image


def each(image: np.ndarray, change: Callable[[Any, int], Any]) -> np.ndarray:
    """Return the channels of an image after ``change(picture, index)``, stacked.

    image   uint8 becomes pictures of mode L, any float mode F, (C, H, W)

    Working by channel allows any number of them, and none has to be moved.
    """
    make = pillow().fromarray
    if image.dtype != np.uint8:
        image = image.astype(np.float32, copy=False)
    return np.stack([np.asarray(change(make(plane), i)) for i, plane in enumerate(image)])


def fill(values: tuple[float, ...], channels: int, dtype: Any) -> list[float]:
    """Return one number for each channel: `values`, or its one number for all; 0 if it is empty."""
    numbers = list(values or (0.0,))
    numbers = numbers * channels if len(numbers) == 1 else numbers
    if dtype == np.uint8:
        return [int(min(255, max(0, round(v)))) for v in numbers]
    return numbers
