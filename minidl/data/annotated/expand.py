"""An image somewhere in a larger, empty one: SSD's expand_param."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minidl.data.annotated.fit import LARGEST, filling
from minidl.errors import DataError

SAME = 1e-2  # ratios this close to 1 change nothing


class Expand:
    """An ExpansionParameter; ``expand(image, rng, record)`` returns the larger image.

    Its sides are r times those of the image, r uniform from 1 to max_expand_ratio; the image is
    anywhere in it, surrounded by the mean.

    mean   mean_value, possibly empty

    Source: Liu et al. 2016 (SSD), section 3.6; weiliu89/caffe, branch ssd (data_transformer.cpp).
    """

    def __init__(
        self,
        param: Any,
        reject: Callable[..., NoReturn],
        mean: tuple[float, ...] = (),
        where: str = "",
    ) -> None:
        self.probability, self.most = param.prob, param.max_expand_ratio
        self._mean, self.where = mean, where
        if not 1 < self.most < math.inf:
            reject(
                f"max_expand_ratio is {self.most:g}",
                expected="above 1",
                field="transform_param.expand_param.max_expand_ratio",
            )

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator, record: str
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the image, and its new borders in the old one: (4,), or None if unchanged.

        record   names the image in messages
        """
        if rng.random() > self.probability or self.most - 1 < SAME:
            return image, None
        channels, height, width = image.shape
        ratio = 1 + (self.most - 1) * rng.random()
        rows, columns = int(height * ratio), int(width * ratio)
        if rows * columns > LARGEST:
            raise DataError(
                f"{record} becomes {rows} x {columns} pixels by expand_param",
                where=self.where,
                expected=f"at most {LARGEST} pixels",
                fix="lower max_expand_ratio",
            )
        top = int(rng.random() * (rows - height))
        left = int(rng.random() * (columns - width))
        out = np.empty((channels, rows, columns), image.dtype)
        out[...] = filling(self._mean, image)
        out[:, top : top + height, left : left + width] = image
        part = [-left / width, -top / height, (columns - left) / width, (rows - top) / height]
        return out, np.array(part, np.float32)
