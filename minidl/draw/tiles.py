"""Filters and activations as pictures: many small planes in a grid.

    weight = net.params["conv1"][0].data
    plt.imshow(tiles.grid(tiles.filters(weight)))        # 96 coloured squares
    plt.imshow(tiles.grid(tiles.maps(net.blobs["conv1"].data[0])))

What Caffe's first notebook calls vis_square, with its scale: black is the least of all values,
white the greatest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.errors import UsageError


def filters(weight: Any, channels: str = "BGR") -> np.ndarray:
    """The planes of a filter bank, (N, h, w) from 0 to 1, or (N, h, w, 3) of filters for colours.

    weight     (outputs, inputs, h, w); filters of three inputs become coloured, all others a plane
               for each input, filter by filter: in a grid of `inputs` columns a row is a filter
    channels   the order of three inputs: "BGR" as Caffe's nets have it, or "RGB"

    Errors: UsageError for what has not four axes.
    """
    weight = _numbers(weight, 4, "weights", "(outputs, inputs, height, width)")
    planes = scaled(weight)
    if weight.shape[1] == 3:
        order = slice(None, None, -1 if channels == "BGR" else 1)
        return planes[:, order].transpose(0, 2, 3, 1)
    return planes.reshape(-1, *weight.shape[2:])


def maps(activation: Any) -> np.ndarray:
    """The channels (C, H, W) of one item of a blob as planes from 0 to 1."""
    return scaled(_numbers(activation, 3, "activations", "(channels, height, width)"))


def scaled(values: Any) -> np.ndarray:
    """The values as float32 from 0, the least, to 1, the greatest; all alike become 0.5.

    NaN becomes 0, infinities the ends.
    """
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    span = high / 4 - low / 4  # of a quarter: the whole may be beyond the largest float
    shares = (values / 4 - low / 4) / span if span else np.where(np.isfinite(values), 0.5, values)
    return np.nan_to_num(shares.clip(0, 1), nan=0.0).astype(np.float32)


def grid(planes: Any, columns: int | None = None, gap: int = 1, between: float = 1.0) -> np.ndarray:
    """One picture of many: (rows * (h + gap) - gap, columns * (w + gap) - gap), row by row.

    planes    (N, h, w) or (N, h, w, 3)
    columns   how many in a row; by default the picture becomes about as wide as high
    gap       pixels between them, of the value `between`, as is what is left of the last row

    Errors: UsageError.
    """
    planes = np.asarray(planes)
    if planes.ndim not in (3, 4) or 0 in planes.shape:
        raise UsageError(
            f"the planes have the shape {planes.shape}", expected="(N, h, w) or (N, h, w, 3)"
        )
    count, h, w = planes.shape[:3]
    if columns is None:
        columns = max(1, round(math.sqrt(count * (h + gap) / (w + gap))))
    if columns < 1 or gap < 0:
        raise UsageError(f"columns is {columns}, gap {gap}", expected="at least 1, and 0")
    columns = min(columns, count)
    rows = -(-count // columns)
    shape = (rows * (h + gap) - gap, columns * (w + gap) - gap, *planes.shape[3:])
    out = np.full(shape, between, planes.dtype)
    for i, plane in enumerate(planes):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        out[top : top + h, left : left + w] = plane
    return out


def _numbers(values: Any, axes: int, what: str, expected: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != axes or 0 in values.shape:
        raise UsageError(f"the {what} have the shape {values.shape}", expected=expected)
    return values
