"""Single elements of a convolution's three results, by definition in float64.

With w[k, c, r] the weight of filter k for the channel c of its group at place r of the kernel, and
every place o of a top that sees the place i = o * stride - pad + r * dilation of an image,

    y[n, k, o]  = sum over c, r of x[n, c, i] * w[k, c, r]
    dx[n, c, i] = sum over k, and r and o that lead to i, of dy[n, k, o] * w[k, c, r]
    dw[k, c, r] = sum over n, o of x[n, c, i] * dy[n, k, o]

and nothing where i lies outside the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays.memory import Shape
from minidl.engines.cudnn.problem import Problem

Arrays = dict[str, np.ndarray]  # "x", "w", "y" (or dy), in N C H W for any order in memory


def element(problem: Problem, of: Arrays, writes: str, place: Shape) -> float:
    """One element of "y", "x" (dx) or "w" (dw), from the other two arrays."""
    return {"y": _y, "x": _dx, "w": _dw}[writes](problem, of, place)


def places(shape: Shape, count: int, rng: np.random.Generator) -> list[Shape]:
    """So many random places of an array, its first and its last one among them."""
    first, last = tuple(0 for _ in shape), tuple(size - 1 for size in shape)
    drawn = (tuple(int(rng.integers(size)) for size in shape) for _ in range(count))
    return list(dict.fromkeys([first, last, *drawn]))


def _y(p: Problem, of: Arrays, place: Shape) -> float:
    n, k, *o = place
    c = _channels_of_filter(p, k)
    i, r, _ = _meetings(p, o=o)
    return _dot(of["x"][n, c][np.ix_(range(len(c)), *i)], of["w"][k][np.ix_(range(len(c)), *r)])


def _dx(p: Problem, of: Arrays, place: Shape) -> float:
    n, c, *i = place
    k = _filters_of_channel(p, c)
    _, r, o = _meetings(p, i=i)
    w = of["w"][k.start : k.stop, c % p.w[1]]
    return _dot(of["y"][n, k][np.ix_(range(len(k)), *o)], w[np.ix_(range(len(k)), *r)])


def _dw(p: Problem, of: Arrays, place: Shape) -> float:
    k, c, *r = place
    i, _, o = _meetings(p, r=r)
    images = range(p.x[0])
    x = of["x"][:, _channels_of_filter(p, k)[c]]
    return _dot(x[np.ix_(images, *i)], of["y"][:, k][np.ix_(images, *o)])


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))


def _channels_of_filter(p: Problem, k: int) -> range:
    group = k // (p.w[0] // p.group)
    return range(group * p.w[1], (group + 1) * p.w[1])


def _filters_of_channel(p: Problem, c: int) -> range:
    group, size = c // p.w[1], p.w[0] // p.group
    return range(group * size, (group + 1) * size)


def _meetings(
    p: Problem,
    i: Sequence[int] | None = None,
    r: Sequence[int] | None = None,
    o: Sequence[int] | None = None,
) -> list[Any]:
    """Return all i, r, o that belong together, those given fixed: for every axis an array each."""
    found = []
    for axis, (stride, pad, dilation) in enumerate(zip(p.stride, p.pad, p.dilation, strict=True)):
        kernel, top = np.ogrid[: p.w[2 + axis], : p.y[2 + axis]]
        image = top * stride - pad + kernel * dilation
        meet = (image >= 0) & (image < p.x[2 + axis])
        for places, given in ((image, i), (kernel, r), (top, o)):
            if given is not None:
                meet &= places == given[axis]
        found.append((image[meet], *np.nonzero(meet)))
    return list(zip(*found, strict=True))
