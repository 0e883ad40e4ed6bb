"""Random changes of an image's colours: SSD's distort_param, with OpenCV's hue and saturation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl.data import hsv
from minidl.errors import DataError

SHIFT = 12  # binary places of OpenCV's tables
TURN = 180  # a full turn of the hue, in a byte
_DIVISORS = np.maximum(np.arange(256), 1)
_BY_VALUE = np.rint((255 << SHIFT) / _DIVISORS).astype(np.int32)
_BY_RANGE = np.rint((TURN << SHIFT) / (6.0 * _DIVISORS)).astype(np.int32)


class Distort:
    """A DistortionParameter; ``distort(image, rng)`` returns the changed image.

    Brightness, contrast, saturation and hue change in this order or, just as often, with contrast
    last; then the channels may change places. Every change is rounded to bytes. An image
    is (C, H, W), bytes, blue, green and red.

    Source: weiliu89/caffe, branch ssd (im_transforms.cpp). There each image becomes a JPEG after
    it, and is read again; here nothing is lost between steps.
    """

    def __init__(self, param: Any, reject: Callable[..., NoReturn], where: str = "") -> None:
        self.param, self.where = param, where
        for name in ("contrast", "saturation"):
            low, high = getattr(param, f"{name}_lower"), getattr(param, f"{name}_upper")
            if getattr(param, f"{name}_prob") > 0 and not 0 <= low <= high < np.inf:
                self._refuse(
                    reject, f"{name}_lower", low, f"0 <= {name}_lower <= {name}_upper, {high:g}"
                )
        for name in ("brightness_delta", "hue_delta"):
            if not 0 <= getattr(param, name) < np.inf:
                self._refuse(reject, name, getattr(param, name), "0 or more")
        self.needs_colour = bool(
            param.saturation_prob > 0 or param.hue_prob > 0 or param.random_order_prob > 0
        )

    @staticmethod
    def _refuse(reject: Callable[..., NoReturn], name: str, value: float, expected: str) -> None:
        reject(
            f"distort_param: {name} is {value:g}",
            expected=expected,
            field=f"transform_param.distort_param.{name}",
        )

    def check(self, image: np.ndarray, record: str) -> None:
        """Refuse an image whose colours cannot be changed this way."""
        if image.dtype != np.uint8:
            found, expected = "real numbers", "bytes: only these have hue and saturation"
        elif self.needs_colour and len(image) != 3:
            found, expected = f"{len(image)} channels", "3: blue, green and red"
        else:
            return
        raise DataError(
            f"has distort_param, but {record} has {found}", where=self.where, expected=expected
        )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        p = self.param
        contrast_first = rng.random() > 0.5
        if rng.random() < p.brightness_prob:
            image = scaled(image, 1, p.brightness_delta * (2 * rng.random() - 1))
        if contrast_first:
            image = self._contrast(image, rng)
        if rng.random() < p.saturation_prob:
            factor = _drawn(p.saturation_lower, p.saturation_upper, rng)
            image = _in_hsv(image, 1, lambda plane: scaled(plane, factor, 0))
        if rng.random() < p.hue_prob:
            turn = p.hue_delta * (2 * rng.random() - 1)
            image = _in_hsv(image, 0, lambda plane: scaled(plane, 1, turn))
        if not contrast_first:
            image = self._contrast(image, rng)
        if rng.random() < p.random_order_prob:
            image = image[np.argsort(rng.random(3), kind="stable")]
        return image

    def _contrast(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        p = self.param
        if rng.random() >= p.contrast_prob:
            return image
        factor = _drawn(p.contrast_lower, p.contrast_upper, rng)
        return image if abs(factor - 1) <= 1e-3 else scaled(image, factor, 0)


def _drawn(low: float, high: float, rng: np.random.Generator) -> float:
    return low + (high - low) * rng.random()


def scaled(image: np.ndarray, factor: float, shift: float) -> np.ndarray:
    """factor * x + shift of bytes x, rounded to the nearest byte, halves to even."""
    table = np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(shift)
    return np.rint(table).clip(0, 255).astype(np.uint8)[image]


def _in_hsv(
    image: np.ndarray, channel: int, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    planes = to_hsv(image)
    planes[channel] = change(planes[channel])
    return from_hsv(planes)


def to_hsv(image: np.ndarray) -> np.ndarray:
    """Hue (0 to 179), saturation and value, (3, H, W) bytes, of blue, green and red."""
    b, g, r = image.astype(np.int32)
    value = np.maximum(np.maximum(b, g), r)
    spread = value - np.minimum(np.minimum(b, g), r)
    sixths = np.where(
        value == r, g - b, np.where(value == g, b - r + 2 * spread, r - g + 4 * spread)
    )
    half = 1 << (SHIFT - 1)
    hue = (sixths * _BY_RANGE[spread] + half) >> SHIFT
    hue += np.where(hue < 0, TURN, 0)
    saturation = (spread * _BY_VALUE[value] + half) >> SHIFT
    return np.stack([hue, saturation, value]).astype(np.uint8)


def from_hsv(planes: np.ndarray) -> np.ndarray:
    """Blue, green and red of hue, saturation and value; hues from 180 on are those from 0 on.

    Rounded, as OpenCV's first releases have it; newer ones may cut, and give one less.
    """
    hue, saturation, value = planes.astype(np.float32)
    colours = hsv.to_bgr(hue * (360 / TURN), saturation / 255, value)
    return np.rint(colours).clip(0, 255).astype(np.uint8)
