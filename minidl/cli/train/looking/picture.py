"""Numbers of a net turned back into pixels: what its data layer did to a picture, undone."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.data import browsing
from minidl.storage import mean

WHITE = 255.0


class Picture:
    """How the arrays (C, H, W) of a data layer are shown.

    layer    the LayerParameter of the layer that reads them, or None

    Where its transform has a scale or a mean, these are undone, and pixels are from 0 to 255. Where
    it has neither, numbers that are from 0 to 255 are taken as pixels; of all others the least is
    black and the greatest white.
    """

    def __init__(self, layer: Any) -> None:
        self._scale, self._mean = 1.0, np.zeros((1, 1, 1))
        self._known = False
        if layer is None or not layer.HasField("transform_param"):
            return
        t = layer.transform_param
        if t.HasField("scale") and t.scale:
            self._scale, self._known = float(t.scale), True
        if t.mean_value:
            self._mean, self._known = np.array(t.mean_value).reshape(-1, 1, 1), True
        elif t.mean_file:
            self._mean, self._known = mean.read(t.mean_file), True

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Return an array (C, H, W), or one of as many numbers, as float64 pixels."""
        values = values.astype(np.float64)
        if not self._known:
            return values
        return values / self._scale + self._cut(values.shape)

    def peak(self, pixels: np.ndarray) -> float:
        """Return the difference between black and white in these pixels."""
        if self._known or _bytes_alike(pixels):
            return WHITE
        return float(pixels.max() - pixels.min()) or 1.0

    def shown(self, pixels: np.ndarray) -> bytes:
        """Return pixels as a PNG."""
        if self._known or _bytes_alike(pixels):
            clipped = np.nan_to_num(pixels.clip(0, WHITE))
            return browsing.png(np.rint(clipped).astype(np.uint8))
        return browsing.png(pixels)

    def png(self, values: np.ndarray) -> bytes:
        """Return an array of the layer as a PNG."""
        return self.shown(self.pixels(values))

    def _cut(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the mean for pictures of this shape: of an image, its middle."""
        found = self._mean
        if len(shape) == 3 and found.shape[1:] not in ((1, 1), shape[1:]):
            top, left = ((old - new) // 2 for old, new in zip(found.shape[1:], shape[1:]))  # noqa: B905
            found = found[:, top : top + shape[1], left : left + shape[2]]
        return found if found.shape[0] in (1, shape[0]) else found.mean(axis=0, keepdims=True)


def _bytes_alike(pixels: np.ndarray) -> bool:
    """Return whether numbers may be bytes: none is beyond, and the greatest is above 1.

    Numbers from 0 to 1 are pictures too, but of another scale.
    """
    low, high = float(pixels.min()), float(pixels.max())
    return low >= 0 and 1 < high <= WHITE
