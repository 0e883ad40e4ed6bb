"""Channels weighed and added to others: the `Axpy` layer."""

from __future__ import annotations

import math

from minidl.layers.base import Layer, register, scratch
from minidl.layers.folding import matrix


@register("Axpy")
class Axpy(Layer):
    """Weigh each channel of each item, and add another blob: what ends a squeeze-and-excitation.

        y[n, c, s] = a[n, c] * x[n, c, s] + b[n, c, s]
        da[n, c] = sum(dy * x over s)       dx = a * dy         db = dy

    bottom[0]   a: (N, C), or (N, C, 1, 1)
    bottom[1]   x: (N, C, ...)
    bottom[2]   b: the same shape
    top[0]      the same shape

    It has no parameters.

    Source: Hu, Shen & Sun 2018 (SENet), section 3; their fork of Caffe.
    """

    family = "combine"
    fork = "hujie-frank/SENet"
    keeps_positions = True
    bottoms = 3
    keeps = ("bottom",)

    def top_shapes(self, a, x, b):
        if a[:2] != x[:2] or len(x) < 2 or math.prod(a[2:]) != 1:
            self.reject(
                f"weights '{self.spec.bottom[0]}' {a} for '{self.spec.bottom[1]}' {x}",
                expected=f"weights of shape {x[:2]}: one for each item and channel",
            )
        if x != b:
            self.reject(
                f"'{self.spec.bottom[1]}' is {x}, but '{self.spec.bottom[2]}' is {b}",
                expected="the same shape",
            )
        return (x,)

    def buffers(self, a, x, b):
        return {"product": scratch((math.prod(x[:2]), math.prod(x[2:])))}

    def multiply_adds(self, a, x, b):
        return math.prod(x)

    def forward(self, bottom, top):
        # a is (N * C, 1), the others (N * C, places).
        a, x, b, y = self._rows(*(blob.data for blob in (*bottom, *top)))
        self.xp.multiply(x, a, out=y)
        y += b

    def backward(self, top, wanted, bottom):
        xp, dy = self.xp, self._rows(top[0].diff)[0]
        a, x, _ = self._rows(*(blob.data for blob in bottom))
        da, dx, db = self._rows(*(blob.diff for blob in bottom))
        if wanted[0]:
            xp.multiply(dy, x, out=self.product)
            xp.sum(self.product, axis=1, keepdims=True, out=da)  # (N * C, 1)
        if wanted[1]:
            xp.multiply(dy, a, out=dx)
        if wanted[2]:
            db[...] = dy

    def _rows(self, *arrays):
        """Each array as (N * C, elements of a channel)."""
        return [matrix(array, 2) for array in arrays]
