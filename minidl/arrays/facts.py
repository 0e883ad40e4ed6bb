"""Facts about an array in a line: size, spread, zeros, bad numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

PART = 1 << 20  # values at a time


class Facts(NamedTuple):
    """Of the finite numbers of an array.

    zeros   share of all numbers that are 0
    idle    rows (filters of weights, channels of activations) that are 0 throughout
    bad     numbers that are NaN or infinite
    """

    shape: tuple[int, ...]
    mean: float
    std: float
    least: float
    most: float
    zeros: float
    idle: int
    bad: int


def facts(values: Any, axis: int = 0) -> Facts:
    """Return the facts of an array; the rows of `idle` lie along `axis`."""
    values = np.asarray(values)
    others = tuple(i for i in range(values.ndim) if i != axis)
    count, least, most, total, zeros = 0, math.inf, -math.inf, 0.0, 0
    for part in _parts(values):
        zeros += int((part == 0).sum())
        if (finite := _finite(part)).size:
            count += finite.size
            least, most = min(least, float(finite.min())), max(most, float(finite.max()))
            total += float(finite.sum())
    mean = total / count if count else math.nan
    squares = 0.0
    for part in _parts(values) if count else ():
        squares += float(np.square(_finite(part) - mean).sum())
    return Facts(
        tuple(values.shape),
        mean,
        math.sqrt(squares / count) if count else math.nan,
        least if count else math.nan,
        most if count else math.nan,
        zeros / values.size if values.size else 0.0,
        int((values == 0).all(axis=others).sum()) if others and values.size else 0,
        int(values.size - count),
    )


def histogram(
    values: Any, bins: int = 50, span: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many finite values are in each of `bins` equal parts of their range, and the
    edges of these; all alike are in the middle.

    span   the least and the greatest finite value, where they are known
    """
    values = np.asarray(values)
    if span is None:
        ends = [(p.min(), p.max()) for p in map(_finite, _parts(values)) if p.size]
        lows, highs = zip(*ends, strict=True) if ends else ((0.0,), (1.0,))
        span = float(min(lows)), float(max(highs))
    counts = np.zeros(bins, np.int64)
    for part in map(_finite, _parts(values)):
        counts += np.histogram(part, bins, span)[0]
    return counts, np.histogram_bin_edges((), bins, span)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield all values as float64, a part at a time: a copy of a large array would need its memory
    twice over."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, PART):
        yield flat[start : start + PART].astype(np.float64)
