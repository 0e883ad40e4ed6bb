"""Mean image, mean and deviation of each channel, of records that come one by one."""

from __future__ import annotations

import numpy as np


class Moments:
    """Sums over images (C, H, W) of one shape: whole numbers of 64 bits for bytes, so these are
    summed exactly, and float64 for floats.

    count     how many were added
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum = np.zeros(())
        self._squares = np.zeros(0)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._sum.shape

    def add(self, image: np.ndarray) -> None:
        """Add an image, which has the shape of the first one."""
        if not self.count:
            kind = np.int64 if image.dtype == np.uint8 else np.float64
            self._sum = np.zeros(image.shape, kind)
            self._squares = np.zeros(len(image), kind)
        self._sum += image if self._sum.dtype == np.float64 else image.astype(np.int64)
        # einsum of uint8 would sum in uint8; of 32 bits a product fits, and sums are in 64
        rows = image.reshape(len(image), -1).astype(
            np.int64 if self._squares.dtype == np.int64 else np.float64
        )
        self._squares += np.einsum("ij,ij->i", rows, rows)
        self.count += 1

    def image(self) -> np.ndarray:
        """Return the mean image, (C, H, W) float32."""
        return (self._sum / self.count).astype(np.float32)

    def means(self) -> tuple[float, ...]:
        """Return the mean of each channel."""
        return tuple(float(v) for v in (self._sum / self.count).mean(axis=(1, 2)))

    def deviations(self) -> tuple[float, ...]:
        """Return the standard deviation of each channel, over all pixels of all images."""
        pixels = self.count * self._sum[0].size
        variances = self._squares / pixels - np.square(self.means())
        return tuple(float(v) for v in np.sqrt(np.maximum(variances, 0)))
