"""Resize images and their boxes: SSD's resize_param."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl import schema
from minidl.data.annotated.interpolate import resized
from minidl.data.resize import check_fill
from minidl.errors import DataError

log = logging.getLogger("minidl")

FIELD = "transform_param.resize_param"
LARGEST = 1 << 28  # pixels of an image
_PADS = {1: "constant", 2: "reflect", 3: "edge"}  # NumPy's names of Pad_mode


class Fit:
    """A ResizeParameter: ``fit(image, rng)`` for an image, ``fit.boxes(...)`` for boxes.

    WARP                      height x width, ignoring the proportions
    FIT_SMALL_SIZE            the smallest image of its proportions that covers height x width
    FIT_LARGE_SIZE_AND_PAD    the largest that fits in, centred in height x width; around it,
                              filled as pad_mode says

    One of interp_mode is drawn for every image, even if it has the size already.

    Source: weiliu89/caffe, branch ssd (im_transforms.cpp).
    """

    def __init__(self, param: Any, reject: Callable[..., NoReturn], where: str = "") -> None:
        self.param, self.where = param, where
        self.height, self.width = param.height, param.width
        self.modes = list(param.interp_mode) or [schema.ResizeParameter.LINEAR]
        if not (param.height and param.width):
            reject(
                f"resize_param has height {param.height} and width {param.width}",
                expected="both above 0",
                field=FIELD,
            )
        if bool(param.height_scale) != bool(param.width_scale):
            reject(
                f"height_scale is {param.height_scale} and width_scale {param.width_scale}",
                expected="both, or neither",
                field=FIELD,
            )
        check_fill(tuple(param.pad_value), f"{FIELD}.pad_value", reject)
        if param.prob < 1:
            log.warning(
                "%s: resize_param { prob: %g } is not read: it is always done", where, param.prob
            )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the new shape of an image of this shape (C, H, W). Errors: DataError if huge."""
        height, width = self.height, self.width
        if self.param.resize_mode == self.param.FIT_SMALL_SIZE:
            height, width = self._kept(shape, smaller=False)
        if height * width > LARGEST:
            raise DataError(
                f"resize_param makes {height} x {width} of {shape[1]} x {shape[2]} pixels",
                where=self.where,
                expected=f"at most {LARGEST} pixels",
            )
        return (shape[0], height, width)

    def check(self, image: np.ndarray, record: str) -> None:
        """Refuse an image that pad_value does not suit."""
        if len(self.param.pad_value) not in (0, 1, len(image)):
            raise DataError(
                f"has {len(self.param.pad_value)} pad_value entries, but {record} has "
                f"{len(image)} channels",
                where=self.where,
                expected=f"1 or {len(image)}",
            )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        mode = self.modes[int(rng.random() * len(self.modes))]
        _, height, width = self.shape(image.shape)
        if self.param.resize_mode != self.param.FIT_LARGE_SIZE_AND_PAD:
            return resized(image, height, width, mode)
        image = resized(image, *self._kept(image.shape, smaller=True), mode)
        return self._padded(image, height, width)

    def boxes(self, boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return the boxes (G, 4) of an image of this shape (C, H, W) in the resized image."""
        if self.param.resize_mode != self.param.FIT_LARGE_SIZE_AND_PAD:
            return boxes.clip(0, 1)
        whole, aspect = self.width / self.height, shape[2] / shape[1]
        kept = np.array([min(1, aspect / whole), min(1, whole / aspect)] * 2, np.float32)
        return boxes.clip(0, 1) * kept + (1 - kept) / 2

    def unit(self, boxes: np.ndarray, shape: tuple[int, ...], part: np.ndarray) -> np.ndarray:
        """Return boxes (G, 4) in the window `part` of an image of this shape, in its units.

        For FIT_SMALL_SIZE with height_scale and width_scale, 1 is that many rows and columns;
        else it is the window itself.
        """
        p = self.param
        if p.resize_mode != p.FIT_SMALL_SIZE or not p.height_scale:
            return boxes
        aspect, whole = shape[2] / shape[1], self.width / self.height
        sides = (
            self.height * max(1, whole / aspect) * float(part[3] - part[1]) / p.height_scale,
            self.width * max(1, aspect / whole) * float(part[2] - part[0]) / p.width_scale,
        )
        if min(sides) < 1:
            raise DataError(
                f"the window has {sides[0] * p.height_scale:g} rows and "
                f"{sides[1] * p.width_scale:g} columns",
                where=self.where,
                expected=f"height_scale, {p.height_scale}, and width_scale, {p.width_scale}, "
                "or more",
            )
        return boxes * np.array([sides[1], sides[0]] * 2, np.float32)

    def _kept(self, shape: tuple[int, ...], smaller: bool) -> tuple[int, int]:
        """Return the size of the image's proportions that just fits in, or just covers."""
        aspect, whole = np.float32(shape[2] / shape[1]), np.float32(self.width / self.height)
        if (aspect > whole) == smaller and aspect != whole:
            return max(1, math.floor(np.float32(self.width) / aspect)), self.width
        return self.height, max(1, math.floor(aspect * np.float32(self.height)))

    def _padded(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        top, left = (
            (new - old) // 2 for new, old in zip((height, width), image.shape[1:], strict=True)
        )
        around = ((top, height - image.shape[1] - top), (left, width - image.shape[2] - left))
        mode = _PADS[self.param.pad_mode]
        if mode != "constant":
            return np.pad(image, ((0, 0), *around), mode)  # type: ignore[call-overload]
        out = np.empty((len(image), height, width), image.dtype)
        out[...] = filling(self.param.pad_value, image)
        out[:, top : top + image.shape[1], left : left + image.shape[2]] = image
        return out


def filling(values: Any, image: np.ndarray) -> np.ndarray:
    """Return fill values, one or one per channel: (C or 1, 1, 1), of the image's type."""
    numbers = np.array(values or [0], np.float32).reshape(-1, 1, 1)
    if image.dtype == np.uint8:
        return np.rint(numbers).clip(0, 255).astype(np.uint8)
    return numbers
