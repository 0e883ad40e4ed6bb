"""Vectors brought to length 1 at every place: the `Norm` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.folding import fold

EPS = 1e-6  # the fork's, added to a length
FLT_MIN = float(np.finfo(np.float32).tiny)


@register("Norm")
class Norm(Layer):
    r"""Divide the channels of each place by their length.

    With r = sqrt(sum of x[c]**2 over channels) and e = 1e-6,

        y = x / (r + e)
        dx = (dy - u * sum(u * dy over channels)) / (r + e),   u = x / sqrt(r * (r + e))

    bottom[0]   (N, C, ...)
    top[0]      the same shape

    A place of zeros stays one, and its gradient is dy / e. The fork divides by r**3 + e backward,
    which is not the derivative of what it computes forward, though near it where r is near 1.

    Source: xiaolonw/caffe-3dnormal_joint_pose (norm_layer.cpp).
    """

    family = "norm"
    fork = "xiaolonw/caffe-3dnormal_joint_pose"
    keeps_positions = True
    keeps = ("bottom",)

    def top_shapes(self, bottom):
        if len(bottom) < 2 or 0 in bottom:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...), not empty")
        return (bottom,)

    def buffers(self, bottom):
        outer, _, inner = three = fold(bottom, 1)
        row = (outer, 1, inner)
        return {"length": saved(row), "row": scratch(row), "unit": scratch(three)}

    def multiply_adds(self, bottom):
        return 2 * math.prod(bottom)

    def forward(self, bottom, top):
        xp, r, square = self.xp, self.length, self.unit
        x, y = (a.reshape(square.shape) for a in (bottom[0].data, top[0].data))
        xp.square(x, out=square)
        xp.sum(square, axis=1, keepdims=True, out=r)
        xp.sqrt(r, out=r)
        xp.add(r, EPS, out=self.row)
        xp.divide(x, self.row, out=y)

    def backward(self, top, wanted, bottom):
        xp, r, row, unit = self.xp, self.length, self.row, self.unit
        x, dx, dy = (a.reshape(unit.shape) for a in (bottom[0].data, bottom[0].diff, top[0].diff))
        xp.add(r, EPS, out=row)
        # u = x / sqrt(r * (r + eps)): then dx = (dy - u * sum(u * dy)) / (r + eps).
        row *= r
        xp.sqrt(row, out=row)
        xp.maximum(row, FLT_MIN, out=row)  # u is 0 where x is
        xp.divide(x, row, out=unit)
        xp.multiply(unit, dy, out=dx)
        xp.sum(dx, axis=1, keepdims=True, out=row)
        unit *= row
        xp.subtract(dy, unit, out=dx)
        xp.add(r, EPS, out=row)
        dx /= row
