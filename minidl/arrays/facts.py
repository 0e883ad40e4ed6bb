"""Facts about an array in a line: size, spread, zeros, bad numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


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
    exact = values.astype(np.float64)
    finite = exact[np.isfinite(exact)]
    others = tuple(i for i in range(exact.ndim) if i != axis)
    some = finite if finite.size else np.full(1, np.nan)
    return Facts(
        tuple(values.shape),
        float(some.mean()),
        float(some.std()),
        float(some.min()),
        float(some.max()),
        float((exact == 0).mean()) if exact.size else 0.0,
        int((exact == 0).all(axis=others).sum()) if others and exact.size else 0,
        int(exact.size - finite.size),
    )


def histogram(values: Any, bins: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Return how many finite values are in each of `bins` equal parts of their range, and the
    edges of these; all alike are in the middle."""
    exact = np.asarray(values, np.float64).reshape(-1)
    exact = exact[np.isfinite(exact)]
    counts, edges = np.histogram(exact, bins)
    return counts, edges
