"""From what a net takes and answers back to pixels: the mean added, the scale undone."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.preprocess import Preprocess


class Restorer:
    """Undoes what a data layer did to the values of pictures.

        restore = Restorer(transform)
        pixels = restore(net.blobs["decode"].data.reshape(-1, 1, 28, 28))    # 0 to 255

    transform   a TransformationParameter: its mean and its scale count
    factor      on the result: 255 for arrays that were from 0 to 1 and had no transform
    rgb         whether the net takes red first; pixels have blue first
    """

    def __init__(self, transform: Any, factor: float = 1.0, rgb: bool = False) -> None:
        self._transform, self._factor, self._rgb = transform, factor, rgb
        self._means: dict[tuple[int, ...], Any] = {}

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return float64 pixels of pictures (N, C, H, W), whatever became of their size."""
        pixels = values.astype(np.float64)
        if self._transform.HasField("scale") and self._transform.scale:
            pixels /= self._transform.scale
        pixels += self._mean(values.shape[1:])
        pixels *= self._factor
        return pixels[:, ::-1] if self._rgb and values.shape[1] == 3 else pixels

    def _mean(self, shape: tuple[int, ...]) -> Any:
        """Return what was subtracted from a picture of this shape; of one of other channels than
        the mean's, the mean of those."""
        if shape not in self._means:
            channels = "gray" if shape[0] == 1 else "BGR"
            mean = Preprocess(self._transform, channels).steps(shape[1:])["mean"]
            if mean is None:
                self._means[shape] = 0.0
                return 0.0
            mean = np.asarray(mean, np.float64)
            mean = mean.reshape(len(mean), *(mean.shape[1:] or (1, 1)))
            if mean.shape[1:] not in ((1, 1), shape[1:]):
                mean = mean.mean(axis=(1, 2), keepdims=True)
            self._means[shape] = mean if len(mean) in (1, shape[0]) else mean.mean()
        return self._means[shape]


def planes(values: np.ndarray, picture: tuple[int, ...]) -> np.ndarray:
    """Return answers as pictures (N, C, H, W); flat ones have the shape of the net's input."""
    return values if values.ndim == 4 else values.reshape(len(values), *picture)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64).clip(-700, 700)))
