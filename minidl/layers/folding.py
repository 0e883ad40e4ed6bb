"""Blobs seen as (outer, middle, inner): the axes before, at and after those of interest."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from minidl.blob import Shape


def fold(shape: Shape, axis: int, axes: int = 1) -> tuple[int, int, int]:
    """Sizes of everything before `axis`, of the `axes` axes from there on, and of the rest.

    >>> fold((2, 3, 4, 5), 1), fold((2, 3, 4, 5), 1, axes=2), fold((64, 10), 1)
    ((2, 3, 20), (2, 12, 5), (64, 10, 1))
    """
    end = axis + axes
    return math.prod(shape[:axis]), math.prod(shape[axis:end]), math.prod(shape[end:])


def middle_sum(xp: ModuleType, a: Any) -> Any:
    """Sum of `a`, of shape (outer, middle, inner), for each position in the middle.

    einsum, since in NumPy `a.sum(axis=(0, 2))` is three times slower for images, and a product
    with ones twenty times slower where inner is 1.
    """
    return xp.einsum("omi->m", a)


def middle_dot(xp: ModuleType, a: Any, b: Any) -> Any:
    """Sum of ``a * b`` for each position in the middle, without an array for the product."""
    return xp.einsum("omi,omi->m", a, b)
