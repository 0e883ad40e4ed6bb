"""Gaussian filters over points in a few dimensions, fast: the permutohedral lattice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LARGEST = 2**62  # codes of lattice points are 64 bits


class Lattice:
    """out[i] is about the sum of exp(-|f[i] - f[j]|**2 / 2) * in[j] over all points j, times a
    constant that does not depend on i.

    features   f: (points, d), on the host

    Every point lies in one simplex of a lattice in d dimensions. `filter` lays its value down on
    the d + 1 corners (splat), lets each corner take half of what its two neighbours have, along
    each of the d + 1 axes in turn (blur), and gathers what the corners hold then (slice). This is a
    linear map of the values, and `transposed` is its transpose: the axes in reverse.

    Source: Adams, Baek & Davis 2010, section 3; as Kraehenbuehl & Koltun 2011 have it in densecrf.
    """

    def __init__(self, features: np.ndarray) -> None:
        points, d = features.shape
        elevated = _elevate(features.astype(np.float64))
        corner, rank = _nearest_zero(elevated)
        weights = _barycentric(elevated - corner, rank)
        first = np.arange(d + 1)[:, None, None]  # of each corner of the simplex
        keys = (corner + first - (d + 1) * (rank > d - first)).astype(np.int64)[..., :d]
        codes, strides = _codes(keys.reshape(-1, d), margin=d + 1)
        self.codes, place = np.unique(codes, return_inverse=True)
        self._place = place.reshape(d + 1, points) + 1  # 0 is for corners that no point touches
        self._weights = np.ascontiguousarray(weights.T)
        # A neighbour along axis i is d steps along it and -1 along every other axis.
        steps = [d * stride - (strides.sum() - stride) for stride in strides] + [-strides.sum()]
        self._neighbours = [(self._find(int(s)), self._find(-int(s))) for s in steps]
        self._scale = 1 / (1 + 2.0**-d)

    def filter(self, values: np.ndarray) -> np.ndarray:
        """Return the filtered `values`, (channels, points)."""
        return self._apply(values, self._neighbours)

    def transposed(self, values: np.ndarray) -> np.ndarray:
        return self._apply(values, self._neighbours[::-1])

    def _find(self, step: int) -> np.ndarray:
        """Return the place of each corner's neighbour at this distance, counted from 1; 0 for
        none."""
        wanted = self.codes + step
        place = np.minimum(np.searchsorted(self.codes, wanted), len(self.codes) - 1)
        return np.where(self.codes[place] == wanted, place + 1, 0)

    def _apply(self, values: np.ndarray, neighbours: Any) -> np.ndarray:
        out = np.empty_like(values)
        size, place = len(self.codes) + 1, self._place.reshape(-1)
        for channel, result in zip(values, out, strict=True):
            # Splat: every point's value onto the corners of its simplex.
            held = np.bincount(place, (self._weights * channel).reshape(-1), size)
            for one, other in neighbours:
                held[1:] += 0.5 * (held[one] + held[other])  # blur along one axis
            # Slice: read back at the points
            np.sum(self._weights * held[self._place], axis=0, out=result)
        out *= self._scale
        return out


def _elevate(features: np.ndarray) -> np.ndarray:
    """Return points of d dimensions in the plane of d + 1 whose coordinates sum to 0."""
    points, d = features.shape
    axes = np.arange(d)
    scaled = features * (math.sqrt(2 / 3) * (d + 1) / np.sqrt((axes + 1) * (axes + 2)))
    elevated = np.zeros((points, d + 1))
    elevated[:, 1:] -= scaled * (axes + 1)
    elevated[:, :-1] += np.cumsum(scaled[:, ::-1], axis=1)[:, ::-1]
    return elevated


def _nearest_zero(elevated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest corner whose coordinates are multiples of d + 1, and the ranks of what is
    left: how many coordinates have more left, the first of equal ones less."""
    d = elevated.shape[1] - 1
    rounded = np.round(elevated / (d + 1))
    excess = rounded.sum(axis=1, dtype=np.int64)[:, None]
    corner = rounded * (d + 1)
    rank = np.argsort(np.argsort(corner - elevated, axis=1, kind="stable"), axis=1) + excess
    low, high = rank < 0, rank > d
    turn = (d + 1) * (low.astype(np.int64) - high)
    return corner + turn, rank + turn


def _barycentric(rest: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return the share of each point that each of the d + 1 corners of its simplex has."""
    points, d = len(rest), rest.shape[1] - 1
    weights, rows = np.zeros((points, d + 2)), np.arange(points)[:, None]
    share = rest / (d + 1)
    weights[rows, d - rank] += share
    weights[rows, d + 1 - rank] -= share
    weights[:, 0] += 1 + weights[:, d + 1]
    return weights[:, :-1]


def _codes(keys: np.ndarray, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each key, and what a step of 1 along each axis adds to it.

    Steps of less than `margin` along all axes lead from no key to another one's number.
    """
    low = keys.min(axis=0) - margin
    extents = [int(extent) for extent in keys.max(axis=0) + margin + 1 - low]
    if math.prod(extents) > LARGEST:
        raise OverflowError(f"the lattice is {' x '.join(map(str, extents))} points large")
    strides = np.array([math.prod(extents[i + 1 :]) for i in range(len(extents))], np.int64)
    return (keys - low) @ strides, strides
