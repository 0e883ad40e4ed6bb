"""Resize images: stretched, to cover a size, to fit into it, or between these two."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl import schema
from minidl.data import cubic, planes

Shape = tuple[int, ...]
Size = tuple[int, int]  # height and width


def check_fill(values: tuple[float, ...], field: str, reject: Callable[..., NoReturn]) -> None:
    for value in values:
        if not math.isfinite(value):
            reject(f"{field} is {value}", expected="a finite number", field=field)


class Resize:
    """(C, H, W) to (C, h, w) by Pillow: uint8 stays uint8, rounded; floats stay floats.

    param   an ImageResize, height above 0; `minidl.proto` describes its modes
    fill    what PAD puts around the image if `param` does not say

    An image that already has the size is unchanged, in every mode: a record that was resized when
    it was stored is not changed again.

    BILINEAR is OpenCV's INTER_LINEAR, which Caffe uses, to within one step of a byte: pixel i of n
    is at (i + 1/2) / n of the side, and shrinking skips the pixels in between. BICUBIC is its
    INTER_CUBIC: see minidl.data.cubic.

    Source of CROP, FILL and HALF_CROP: NVIDIA/DIGITS, digits/utils/image.py. Its noise is new for
    every image; here it is always the same, so that a picture gives the same scores every time.
    """

    def __init__(
        self, param: Any, reject: Callable[..., NoReturn], fill: tuple[float, ...] = ()
    ) -> None:
        self.mode, self.filter = param.mode, param.filter
        self.height, self.width = param.height, param.width or param.height
        noisy = self.mode in (schema.ImageResize.FILL, schema.ImageResize.HALF_CROP)
        self.fill = tuple(param.fill) or (() if noisy else fill)
        self.noise = noisy and not param.fill
        if not param.height:
            reject(
                "resize has no height",
                fix="resize { height: 256 width: 256 }",
                field="transform_param.resize",
            )
        check_fill(self.fill, "transform_param.resize.fill", reject)

    def shape(self, shape: Shape) -> Shape:
        """Return the shape that an image of this shape gets."""
        if self.mode == schema.ImageResize.COVER:
            return (shape[0], *self._scaled(shape[1:]))
        return (shape[0], self.height, self.width)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        scaled = self._scaled(image.shape[1:])
        if image.shape[1:] != scaled:
            image = stretch(image, *scaled, self.filter)
        out = self.shape(image.shape)
        return image if image.shape == out else self._centred(image, out)

    def _scaled(self, old: Shape) -> Size:
        """Return the size to which an image is stretched before it is cut or padded."""
        kinds, new = schema.ImageResize, (self.height, self.width)
        if self.mode in (kinds.COVER, kinds.PAD):
            return _kept(old, new, max if self.mode == kinds.COVER else min)
        ratios = (old[0] / new[0], old[1] / new[1])
        if self.mode == kinds.STRETCH or ratios[0] == ratios[1]:
            return new
        ratio = min(ratios) if self.mode == kinds.CROP else max(ratios)
        if self.mode == kinds.HALF_CROP:
            ratio = sum(ratios) / 2
        sides = [_rounded(side / ratio) for side in old]
        if self.mode != kinds.HALF_CROP:
            sides[ratios.index(ratio)] = new[ratios.index(ratio)]
        short = ratios.index(min(ratios))
        if self.mode != kinds.CROP and (new[short] - sides[short]) % 2:
            sides[short] += 1  # as wide a margin on either side
        return max(1, sides[0]), max(1, sides[1])

    def _centred(self, image: np.ndarray, shape: Shape) -> np.ndarray:
        """Return the middle of a larger image; put a smaller one into the middle."""
        out = self._background(shape, image.dtype)
        source, target = [slice(None)], [slice(None)]
        for old, new in zip(image.shape[1:], shape[1:], strict=True):
            cut, margin = _rounded(max(0, old - new) / 2), max(0, new - old) // 2
            length = min(old, new)
            source.append(slice(cut, cut + length))
            target.append(slice(margin, margin + length))
        out[tuple(target)] = image[tuple(source)]
        return out

    def _background(self, shape: Shape, dtype: Any) -> np.ndarray:
        if self.noise:  # RandomState: NumPy guarantees its numbers forever
            return np.random.RandomState(0).randint(0, 255, shape).astype(dtype)
        out = np.empty(shape, dtype)
        out[...] = np.reshape(planes.fill(self.fill, shape[0], dtype), (-1, 1, 1))
        return out


def _kept(old: Shape, new: Size, choose: Callable[[float, float], float]) -> Size:
    """Return the size that keeps the proportions, by the larger or smaller of the two factors."""
    factor = choose(new[0] / old[0], new[1] / old[1])
    if factor == new[0] / old[0]:
        return new[0], max(1, round(old[1] * factor))
    return max(1, round(old[0] * factor)), new[1]


def _rounded(value: float) -> int:
    """Round halves up, as C and the Python of 2015 do."""
    return math.floor(value + 0.5)


def stretch(image: np.ndarray, height: int, width: int, filter: int = 0) -> np.ndarray:
    """Resize an image (C, H, W) to (C, height, width), by one of ImageResize's filters."""
    kinds, old = schema.ImageResize, image.shape
    if filter == kinds.BICUBIC:
        return cubic.stretch(image, height, width)
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
