"""Blobs seen as (outer, middle, inner): the axes before, at and after those of interest."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from minidl.arrays.blob import Shape
from minidl.arrays.device import Device


def fold(shape: Shape, axis: int, axes: int = 1) -> tuple[int, int, int]:
    """Sizes of everything before `axis`, of the `axes` axes from there on, and of the rest.

    >>> fold((2, 3, 4, 5), 1), fold((2, 3, 4, 5), 1, axes=2), fold((64, 10), 1)
    ((2, 3, 20), (2, 12, 5), (64, 10, 1))
    """
    end = axis + axes
    return math.prod(shape[:axis]), math.prod(shape[axis:end]), math.prod(shape[end:])


def matrix(array: Any, axes: int) -> Any:
    """An array as a matrix, its first `axes` axes as rows; also one without any number."""
    return array.reshape(math.prod(array.shape[:axes]), math.prod(array.shape[axes:]))


def views(view: Callable[[Any], Any], *arrays: Any) -> list[Any]:
    """``view(array)`` of each array: one and the same view where two arrays are the same.

    For layers that work in place: CuPy copies an input that shares memory with the output, unless
    it is the very output.
    """
    made = {id(array): view(array) for array in arrays}  # by identity: == would compare elements
    return [made[id(array)] for array in arrays]


def middle_sum(xp: ModuleType, a: Any, out: Any) -> None:
    """Sum of `a`, of shape (outer, middle, inner), for each position in the middle.

    In NumPy by einsum, since ``a.sum(axis=(0, 2))`` is three times slower for images, and a product
    with ones twenty times slower where inner is 1. CuPy's einsum cannot fill an array it is given.
    """
    if xp is np:
        np.einsum("omi->m", a, out=out)
    else:
        xp.sum(a, axis=(0, 2), out=out)


def middle_dot(xp: ModuleType, a: Any, b: Any, out: Any, product: Any) -> None:
    """Sum of ``a * b`` for each position in the middle; overwrites `product`."""
    if xp is np:
        np.einsum("omi,omi->m", a, b, out=out)
    else:
        product = product.reshape(a.shape)
        xp.multiply(a, b, out=product)
        xp.sum(product, axis=(0, 2), out=out)


def dot(xp: ModuleType, a: Any, b: Any, out: Any, product: Any) -> None:
    """Sum of ``a * b``, one-dimensional arrays, in `out` (); overwrites `product`."""
    if xp is np:
        np.dot(a, b, out=out)
    else:  # which is what CuPy's dot does, in an array that it makes for it
        xp.multiply(a, b, out=product)
        xp.sum(product, out=out)


def product_shape(device: Device, operand: Shape) -> Shape:
    """Shape of the scratch array for the product in `dot` and `middle_dot`: empty on the CPU, where
    BLAS and einsum multiply and add in one go."""
    return (0,) if device.kind == "cpu" else operand
