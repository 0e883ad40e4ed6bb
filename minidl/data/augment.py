"""Random changes of images in training: the positions of their pixels, and their colours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl.data import planes
from minidl.data.resize import check_fill
from minidl.errors import DataError

GREY = np.array([0.114, 0.587, 0.299])  # shares of blue, green and red, as OpenCV and JPEG have it
# The colour-difference axes of YIQ, for blue, green and red. Each sums to 0, so grey stays grey.
YIQ = np.array([GREY, [-0.3213, -0.2746, 0.5959], [0.3112, -0.5227, 0.2115]])


class Augment:
    """An ImageAugmentation, driven by nine numbers u of [0, 1) per image.

    Pixels (`warp`), in a frame that stays as large as the image, W x H:

        s = min_scale * (max_scale / min_scale)^u0      how much larger the picture gets
        a = max_aspect^(2 u1 - 1)                       sx = s sqrt(a), sy = s / sqrt(a)
        c = (w/2 + u2 (W - w), h/2 + u3 (H - h))        where it is looked at; w = W/sx, h = H/sy
        phi = max_rotation (2 u4 - 1)                   degrees, about c

    The pixel at q of the result, counted from the middle of the frame, is the one at
    c + turned by phi (qx / sx, qy / sy), between its four neighbours; beyond the border, `fill`.

    Colours (`recolor`), with b, k, s = 1 + amount * (2 u - 1) for brightness, contrast and
    saturation and m the image's mean grey:

        y = b (k (hue(s x + (1 - s) grey(x)) - m) + m)

    where hue turns the colour plane of YIQ; cut to 0..255 where x was bytes. Images of other than 3
    channels have brightness and contrast only, and their plain mean in place of m.
    """

    draws = 9

    def __init__(
        self, param: Any, reject: Callable[..., NoReturn], fill: tuple[float, ...] = ()
    ) -> None:
        self.min_scale, self.max_scale = param.min_scale, param.max_scale
        self.max_aspect, self.max_rotation = param.max_aspect, param.max_rotation
        self.amounts = (param.brightness, param.contrast, param.saturation)
        self.hue, self.fill = param.hue, tuple(param.fill) or fill
        if param.HasField("min_scale") and not param.HasField("max_scale"):
            self.max_scale = max(1.0, self.min_scale)
        if param.HasField("max_scale") and not param.HasField("min_scale"):
            self.min_scale = min(1.0, self.max_scale)
        _check(self, reject)
        self.warps = bool(
            self.min_scale != 1 or self.max_scale != 1 or self.max_aspect != 1 or self.max_rotation
        )
        self.recolors = bool(any(self.amounts) or self.hue)

    def check(self, channels: int, record: str, where: str) -> None:
        """Refuse colour changes for images that have no colours."""
        if (self.amounts[2] or self.hue) and channels != 3:
            raise DataError(
                f"augment has saturation or hue, but {record} has {channels} channels",
                where=where,
                expected="3: blue, green and red",
            )

    def warp(self, image: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The image (C, H, W) zoomed, stretched and turned by u[0:5]; its shape and type stay."""
        if not self.warps:
            return image
        channels, height, width = image.shape
        numbers = planes.fill(self.fill, channels, image.dtype)
        pillow = planes.pillow()
        affine, kind = pillow.Transform.AFFINE, pillow.Resampling.BILINEAR
        where = self.matrix(height, width, u)
        return planes.each(
            image,
            lambda picture, i: picture.transform(
                picture.size, affine, where, kind, fillcolor=numbers[i]
            ),
        )

    def matrix(self, height: int, width: int, u: np.ndarray) -> tuple[float, ...]:
        """(a, b, c, d, e, f): the pixel centred at (x, y) is that at (ax + by + c, dx + ey + f)."""
        s = self.min_scale * (self.max_scale / self.min_scale) ** u[0]
        aspect = self.max_aspect ** (2 * u[1] - 1)
        sx, sy = s * math.sqrt(aspect), s / math.sqrt(aspect)
        w, h = width / sx, height / sy
        x, y = w / 2 + u[2] * (width - w), h / 2 + u[3] * (height - h)
        phi = math.radians(self.max_rotation * (2 * u[4] - 1))
        cos, sin = math.cos(phi), math.sin(phi)
        a, b, d, e = cos / sx, -sin / sy, sin / sx, cos / sy
        return (
            a, b, x - (a * width + b * height) / 2,
            d, e, y - (d * width + e * height) / 2,
        )  # fmt: skip

    def recolor(self, image: np.ndarray, u: np.ndarray, as_bytes: bool) -> None:
        """Change the colours of a float image (C, h, w) in place, by u[5:9]."""
        if not self.recolors:
            return
        b, k, s = (1 + amount * (2 * x - 1) for amount, x in zip(self.amounts, u[5:8], strict=True))
        if len(image) == 3:
            matrix = (
                b * k * self._hue(u[8]) @ (s * np.eye(3) + (1 - s) * np.outer(np.ones(3), GREY))
            )
            mean = float(GREY @ image.mean((1, 2), dtype=np.float64))
            mixed = matrix.astype(image.dtype) @ image.reshape(3, -1)
            np.add(mixed.reshape(image.shape), image.dtype.type(b * (1 - k) * mean), out=image)
        else:
            mean = float(image.mean(dtype=np.float64))
            image *= b * k
            image += b * (1 - k) * mean
        if as_bytes:
            image.clip(0, 255, out=image)

    def _hue(self, u: float) -> np.ndarray:
        """The 3 x 3 matrix that turns the colour plane."""
        phi = math.radians(self.hue * (2 * u - 1))
        turn = np.eye(3)
        turn[1:, 1:] = [[math.cos(phi), -math.sin(phi)], [math.sin(phi), math.cos(phi)]]
        return np.linalg.solve(YIQ, turn @ YIQ)


def _check(self: Augment, reject: Callable[..., NoReturn]) -> None:
    limits = {
        "min_scale": (self.min_scale, 0.01, self.max_scale, "0.01 to max_scale"),
        "max_scale": (self.max_scale, self.min_scale, 100, "min_scale to 100"),
        "max_aspect": (self.max_aspect, 1, 100, "1 to 100"),
        "max_rotation": (self.max_rotation, 0, 180, "0 to 180 degrees"),
        "brightness": (self.amounts[0], 0, 1, "0 to 1"),
        "contrast": (self.amounts[1], 0, 1, "0 to 1"),
        "saturation": (self.amounts[2], 0, 1, "0 to 1"),
        "hue": (self.hue, 0, 180, "0 to 180 degrees"),
    }
    for name, (value, low, high, expected) in limits.items():
        if not low <= value <= high:
            field = f"transform_param.augment.{name}"
            reject(f"augment: {name} is {value:g}", expected=expected, field=field)
    check_fill(self.fill, "transform_param.augment.fill", reject)
