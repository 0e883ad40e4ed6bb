"""Draw a size for every picture, as NVIDIA's fork does: the window that follows is the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl import schema
from minidl.data.annotated.interpolate import resized

Size = tuple[int, int]  # height and width

RANGES = ("rand_resize_ratio", "vertical_stretch", "horizontal_stretch")
FIELDS = (
    *(f"{name}_{end}" for name in ("img_rand_resize", *RANGES) for end in ("lower", "upper")),
    *("interpolation_algo_down", "interpolation_algo_up", "allow_upscale"),
)
ASKING = FIELDS[:8]  # the fields that ask for a size to be drawn


class VariedSize:
    """Resize a picture to a size of its own, from five numbers u of [0, 1).

    For a picture (h, w), in this order, if the fields ask for it:

        the shorter side becomes a whole number from img_rand_resize_lower to _upper, and the other
        side follows in proportion
        the longer side becomes the shorter one times rand_resize_ratio_lower to _upper, if these
        are at least 1; of a square either side is the longer one
        h is multiplied by vertical_stretch_lower to _upper, w by horizontal_stretch_lower to _upper
        both are rounded, and are at least as large as the window
        unless allow_upscale, neither is larger than it was

    If both sides are no larger than before, pixels are found by interpolation_algo_down, else by
    interpolation_algo_up. The middle of every range takes the place of numbers that are not drawn.

    Source: NVIDIA/caffe, data_transformer.cpp.
    """

    draws = 5

    def __init__(self, param: Any, window: Size | None, reject: Callable[..., NoReturn]) -> None:
        """Check a TransformationParameter.

        window   rows and columns of the part cut from the picture
        """
        if window is None:
            asked = next(name for name in ASKING if param.HasField(name))
            reject(
                f"has {asked} and no crop_size",
                fix="transform_param { crop_size: 224 }: the size of all pictures of a batch",
                field=f"transform_param.{asked}",
            )
        self.window, self.larger = window, param.allow_upscale
        self.sides = (param.img_rand_resize_lower, param.img_rand_resize_upper)
        if 0 not in self.sides and self.sides[0] > self.sides[1]:
            reject(
                "img_rand_resize_lower is {} and img_rand_resize_upper {}".format(*self.sides),
                expected="the lower one first",
                field="transform_param.img_rand_resize_lower",
            )
        self.ranges = {}
        for name in RANGES:
            ends = [getattr(param, f"{name}_{end}") for end in ("lower", "upper")]
            if not all(math.isfinite(value) for value in ends):
                reject(
                    f"{name} is from {ends[0]:g} to {ends[1]:g}",
                    expected="finite numbers",
                    field=f"transform_param.{name}_lower",
                )
            self.ranges[name] = (min(ends), max(ends))
        if not (param.rand_resize_ratio_lower >= 1 and param.rand_resize_ratio_upper > 1):
            self.ranges["rand_resize_ratio"] = (0, 0)
        kinds = schema.TransformationParameter.InterpolationAlgo
        self.down, self.up = (
            schema.ResizeParameter.Interp_mode.Value(kinds.Name(value).removeprefix("INTER_"))
            for value in (param.interpolation_algo_down, param.interpolation_algo_up)
        )

    def __call__(self, image: np.ndarray, u: np.ndarray | None) -> np.ndarray:
        """Return the picture (C, h, w) at its size. u: `draws` numbers from [0, 1), or None."""
        old = image.shape[1], image.shape[2]
        size = self.size(old, np.full(self.draws, 0.5) if u is None else u)
        shrinks = size[0] <= old[0] and size[1] <= old[1]
        return resized(image, *size, self.down if shrinks else self.up)

    def size(self, old: Size, u: np.ndarray) -> Size:
        """Return the height and width that a picture of this size gets."""
        short, (lower, upper) = min(old), self.sides
        if lower and upper:
            short = lower + int(u[0] * (upper - lower + 1))
        scale = np.float32(short) / np.float32(min(old))
        height, width = (scale * np.float32(side) for side in old)
        if ratio := self._drawn("rand_resize_ratio", u[1]):
            if width > height or (width == height and u[2] < 0.5):
                width = height * ratio
            else:
                height = width * ratio
        height *= self._drawn("vertical_stretch", u[3]) or np.float32(1)
        width *= self._drawn("horizontal_stretch", u[4]) or np.float32(1)
        wanted = [
            max(least, math.floor(side + np.float32(0.5)))
            for side, least in zip((height, width), self.window, strict=True)
        ]
        if not self.larger:
            wanted = [min(one, other) for one, other in zip(wanted, old, strict=True)]
        return wanted[0], wanted[1]

    def _drawn(self, name: str, u: float) -> np.float32:
        """Return a number of this range; 0 if it does not count."""
        lower, upper = self.ranges[name]
        return np.float32(lower + (upper - lower) * u if lower > 0 else 0)


def is_asked(param: Any) -> bool:
    """Return whether a TransformationParameter asks for a size to be drawn."""
    return bool(param.img_rand_resize_lower or param.img_rand_resize_upper) or any(
        param.HasField(name) for name in ASKING[2:]
    )
