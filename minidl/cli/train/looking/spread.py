"""How the numbers of an array are spread: moments, zeros, a histogram."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

BINS = 30
PIECE = 1 << 20  # elements at a time


def spread(values: np.ndarray, bins: int = BINS) -> dict[str, Any]:
    """Return mean, std, min, max, the share of zeros, and counts of a histogram with its ends.

    Numbers that are not finite are left out of all of these but `zeros`; of an array without finite
    numbers moments are None and counts 0. An array of equal numbers has ends half a unit away.
    """
    flat = np.asarray(values).reshape(-1)
    pieces = [flat[i : i + PIECE] for i in range(0, flat.size, PIECE)]
    zeros = sum(int(np.count_nonzero(piece == 0)) for piece in pieces)
    share = zeros / flat.size if flat.size else 0.0
    low, high, total, count = math.inf, -math.inf, 0.0, 0
    for piece in map(_finite, pieces):
        if piece.size:
            low, high = min(low, float(piece.min())), max(high, float(piece.max()))
            total += float(piece.sum(dtype=np.float64))
            count += piece.size
    found: dict[str, Any] = {"mean": None, "std": None, "min": None, "max": None, "zeros": share}
    if not count:
        return found | {"counts": [0] * bins, "edges": [0.0, 1.0]}
    mean = total / count
    ends = (low, high) if high > low else (low - 0.5, high + 0.5)
    counts, squares = np.zeros(bins, np.int64), 0.0
    for piece in map(_finite, pieces):
        counts += np.histogram(piece, bins, ends)[0]
        squares += float(np.square(piece.astype(np.float64) - mean).sum())
    found |= {"mean": mean, "std": math.sqrt(squares / count), "min": low, "max": high}
    return found | {"counts": counts.tolist(), "edges": list(ends)}


def _finite(piece: np.ndarray) -> np.ndarray:
    ok = np.isfinite(piece)
    return piece if ok.all() else piece[ok]


def idle(values: np.ndarray) -> tuple[int, int, int]:
    """Return how many channels hold nothing but zeros, how many there are, and of how many numbers
    each consists: axis 1 of an activation (N, C, ...)."""
    if values.ndim < 2:
        return 0, 0, 0
    channels = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    return int((channels == 0).all(axis=1).sum()), len(channels), channels.shape[1]


def rounded(found: dict[str, Any], digits: int = 6) -> dict[str, Any]:
    """Return the same with no more digits than anybody looks at."""
    return {
        name: [_short(v, digits) for v in value]
        if isinstance(value, list)
        else _short(value, digits)
        for name, value in found.items()
    }


def _short(value: Any, digits: int) -> Any:
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value
