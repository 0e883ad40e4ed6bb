"""Single elements of a convolution's three results, by definition in float64.

With w[k, c, r] the weight of filter k for the channel c of its group at place r of the kernel, and
every place o of a top that sees the place i = o * stride - pad + r * dilation of an image,

    y[n, k, o]  = sum over c, r of x[n, c, i] * w[k, c, r]
    dx[n, c, i] = sum over k, and r and o that lead to i, of dy[n, k, o] * w[k, c, r]
    dw[k, c, r] = sum over n, o of x[n, c, i] * dy[n, k, o]

and nothing where i lies outside the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.arrays.memory import Shape
from minidl.engines.cudnn.problem import Problem

Arrays = dict[str, np.ndarray]  # "x", "w", "y" (or dy), in N C H W for any order in memory


def element(problem: Problem, of: Arrays, writes: str, place: Shape) -> float:
    """One element of "y", "x" (dx) or "w" (dw), from the other two arrays."""
    make: Callable[[Problem, Arrays, Shape], float] = {"y": _y, "x": _dx, "w": _dw}[writes]
    return make(problem, of, place)


def places(shape: Shape, count: int, rng: np.random.Generator) -> list[Shape]:
    """So many random places of an array, its first and its last one among them."""
    first, last = tuple(0 for _ in shape), tuple(size - 1 for size in shape)
    drawn = (tuple(int(rng.integers(size)) for size in shape) for _ in range(count))
    return list(dict.fromkeys([first, last, *drawn]))


def _y(p: Problem, of: Arrays, place: Shape) -> float:
    n, k, *out = place
    c = _channels_of_filter(p, k)
    pairs = [list(_from_top(p, axis, o)) for axis, o in enumerate(out)]
    i, r = _split(pairs)
    return _dot(of["x"][n, c][np.ix_(range(len(c)), *i)], of["w"][k][np.ix_(range(len(c)), *r)])


def _dx(p: Problem, of: Arrays, place: Shape) -> float:
    n, c, *image = place
    k = _filters_of_channel(p, c)
    pairs = [list(_from_image(p, axis, i)) for axis, i in enumerate(image)]
    o, r = _split(pairs)
    w = of["w"][k.start : k.stop, c % p.w[1]]
    return _dot(of["y"][n, k][np.ix_(range(len(k)), *o)], w[np.ix_(range(len(k)), *r)])


def _dw(p: Problem, of: Arrays, place: Shape) -> float:
    k, c, *kernel = place
    pairs = [list(_from_kernel(p, axis, r)) for axis, r in enumerate(kernel)]
    i, o = _split(pairs)
    images = range(p.x[0])
    x = of["x"][:, _channels_of_filter(p, k)[c]]
    return _dot(x[np.ix_(images, *i)], of["y"][:, k][np.ix_(images, *o)])


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))


def _split(pairs: list[list[tuple[int, int]]]) -> tuple[list[Any], list[Any]]:
    """Return for each axis the first of each pair, and the second."""
    first = [np.array([a for a, _ in axis], int) for axis in pairs]
    return first, [np.array([b for _, b in axis], int) for axis in pairs]


def _channels_of_filter(p: Problem, k: int) -> range:
    group = k // (p.w[0] // p.group)
    return range(group * p.w[1], (group + 1) * p.w[1])


def _filters_of_channel(p: Problem, c: int) -> range:
    group, size = c // p.w[1], p.w[0] // p.group
    return range(group * size, (group + 1) * size)


def _from_top(p: Problem, axis: int, o: int) -> Iterator[tuple[int, int]]:
    """(i, r) along an axis for a place of the top."""
    for r in range(p.w[2 + axis]):
        i = o * p.stride[axis] - p.pad[axis] + r * p.dilation[axis]
        if 0 <= i < p.x[2 + axis]:
            yield i, r


def _from_image(p: Problem, axis: int, i: int) -> Iterator[tuple[int, int]]:
    """(o, r) along an axis for a place of the image."""
    for r in range(p.w[2 + axis]):
        o, rest = divmod(i + p.pad[axis] - r * p.dilation[axis], p.stride[axis])
        if rest == 0 and 0 <= o < p.y[2 + axis]:
            yield o, r


def _from_kernel(p: Problem, axis: int, r: int) -> Iterator[tuple[int, int]]:
    """(i, o) along an axis for a place of the kernel."""
    for o in range(p.y[2 + axis]):
        i = o * p.stride[axis] - p.pad[axis] + r * p.dilation[axis]
        if 0 <= i < p.x[2 + axis]:
            yield i, o
