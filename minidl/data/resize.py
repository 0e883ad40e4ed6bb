"""Bring images to a size: stretched, to cover it, or to fit into it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl import schema
from minidl.data import planes

Shape = tuple[int, ...]


def check_fill(values: tuple[float, ...], field: str, reject: Callable[..., NoReturn]) -> None:
    for value in values:
        if not math.isfinite(value):
            reject(f"{field} is {value}", expected="a finite number", field=field)


class Resize:
    """(C, H, W) to (C, h, w) by Pillow: uint8 stays uint8, rounded; floats stay floats.

    param   an ImageResize, height above 0; `minidl.proto` says what its modes are
    fill    what PAD puts around where `param` does not say

    BILINEAR is OpenCV's INTER_LINEAR, which Caffe uses, to within one step of a byte: pixel i of n
    lies at (i + 1/2) / n of the side, and shrinking leaves out what lies between.
    """

    def __init__(
        self, param: Any, reject: Callable[..., NoReturn], fill: tuple[float, ...] = ()
    ) -> None:
        self.mode, self.filter = param.mode, param.filter
        self.height, self.width = param.height, param.width or param.height
        self.fill = tuple(param.fill) or fill
        if not param.height:
            reject(
                "resize says no height",
                fix="resize { height: 256 width: 256 }",
                field="transform_param.resize",
            )
        check_fill(self.fill, "transform_param.resize.fill", reject)

    def shape(self, shape: Shape) -> Shape:
        """What becomes of an image of this shape."""
        if self.mode == schema.ImageResize.COVER:
            return (shape[0], *self._scaled(shape, max))
        return (shape[0], self.height, self.width)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if self.mode != schema.ImageResize.PAD:
            return self._to(image, *self.shape(image.shape)[1:])
        height, width = self._scaled(image.shape, min)
        numbers = planes.fill(self.fill, len(image), image.dtype)
        out = np.empty(self.shape(image.shape), image.dtype)
        out[...] = np.reshape(numbers, (-1, 1, 1))
        top, left = (self.height - height) // 2, (self.width - width) // 2
        out[:, top : top + height, left : left + width] = self._to(image, height, width)
        return out

    def _scaled(self, shape: Shape, choose: Callable[[float, float], float]) -> tuple[int, int]:
        """The size at which the larger or smaller of the two factors leaves the proportions."""
        _, height, width = shape
        factor = choose(self.height / height, self.width / width)
        if factor == self.height / height:
            return self.height, max(1, round(width * factor))
        return max(1, round(height * factor)), self.width

    def _to(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        if image.shape[1:] == (height, width):
            return image
        return stretch(image, height, width, self.filter)


def stretch(image: np.ndarray, height: int, width: int, filter: int = 0) -> np.ndarray:
    """An image (C, H, W) as (C, height, width), by one of ImageResize's filters."""
    kinds, old = schema.ImageResize, image.shape
    pillow = planes.pillow()
    size, how = (width, height), pillow.Resampling
    if filter in (kinds.BILINEAR, kinds.NEAREST):
        # Pillow's own `resize` takes means where images shrink, whatever its filter but NEAREST.
        kind = how.BILINEAR if filter == kinds.BILINEAR else how.NEAREST
        whole = (0, 0, old[2], old[1])
        extent = pillow.Transform.EXTENT
        return planes.each(image, lambda picture, _: picture.transform(size, extent, whole, kind))
    kind = how.BICUBIC if filter == kinds.CUBIC else how.BILINEAR
    return planes.each(image, lambda picture, _: picture.resize(size, kind))
