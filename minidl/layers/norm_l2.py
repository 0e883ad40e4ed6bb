"""Items of length 1: the `NormL2` layer."""

from __future__ import annotations

from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.folding import fold

EPS = 1e-7  # the fork's, added to a squared length


@register("NormL2")
class NormL2(Layer):
    r"""Bring each item to length 1.

        r  = sqrt(sum(x**2) + 1e-7)     over all numbers of an item
        y  = x / r
        dx = (dy - y * sum(y * dy)) / r

    bottom[0]   (N, ...)
    top[0]      the same shape

    Source: xialuxi/arcface-caffe, AdaCos.
    """

    family = "norm"
    fork = "xialuxi/arcface-caffe"
    keeps = ("top",)

    def top_shapes(self, bottom):
        if not bottom or 0 in bottom:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, ...), not empty")
        return (bottom,)

    def buffers(self, bottom):
        items = (bottom[0], 1)
        return {
            "length": saved(items),
            "total": scratch(items),
            "product": scratch(self._two(bottom)),
        }

    def forward(self, bottom, top):
        xp, two = self.xp, self.product.shape
        x, y = bottom[0].data.reshape(two), top[0].data.reshape(two)
        xp.square(x, out=y)
        xp.sum(y, axis=1, keepdims=True, out=self.length)
        self.length += EPS
        xp.sqrt(self.length, out=self.length)
        xp.divide(x, self.length, out=y)

    def backward(self, top, wanted, bottom):
        xp, two = self.xp, self.product.shape
        y, dy, dx = (a.reshape(two) for a in (top[0].data, top[0].diff, bottom[0].diff))
        xp.multiply(y, dy, out=self.product)
        xp.sum(self.product, axis=1, keepdims=True, out=self.total)
        xp.multiply(y, self.total, out=self.product)
        xp.subtract(dy, self.product, out=dx)  # what stands at a right angle to y
        dx /= self.length

    def _two(self, bottom):
        items, *rest = fold(bottom, 1)
        return (items, rest[0] * rest[1])
