"""Each image brought to a common mean and variance: the `MVN` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.folding import views


@register("MVN")
class MVN(Layer):
    r"""Bring each channel of each image, or each image, to mean 0 and deviation 1.

    Over the m places of a channel, or with across_channels all m numbers of an image,

        mu = mean(x)        std = sqrt(mean((x - mu)**2))
        y  = (x - mu) / (std + eps)
        dx = (dy - mean(dy)) / (std + eps) - y * mean(dy * y) / std

    and without normalize_variance,

        y = x - mu          dx = dy - mean(dy)

    bottom[0]   (N, C, ...)
    top[0]      the same shape; may be the bottom itself
    mvn_param   normalize_variance (true), across_channels (false), eps (1e-9)

    Where std is 0, y is 0 and no gradient passes through std.

    Source: Caffe. It divides the last term of dx by std + eps, too, which is the derivative only
    for a small eps; and its top always has 4 axes.
    """

    family = "norm"
    keeps_positions = True
    parameters = ("mvn_param",)
    in_place = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.mvn_param
        self.normalize_variance, self.across_channels = p.normalize_variance, p.across_channels
        self.eps = p.eps
        if not (self.eps >= 0 and math.isfinite(self.eps)):
            self.reject_field("mvn_param.eps", expected="a finite number >= 0")
        if self.normalize_variance:
            self.keeps = ("top",)

    def top_shapes(self, bottom):
        if len(bottom) < 2 or 0 in bottom:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...), not empty")
        return (bottom,)

    def buffers(self, bottom):
        rows = (self._rows(bottom),)
        buffers = {"mean": scratch(rows)}
        if self.normalize_variance:
            buffers |= {name: saved(rows) for name in ("std", "inverse")}
            buffers["product"] = scratch(bottom)
        return buffers

    def multiply_adds(self, bottom):
        return math.prod(bottom) * (3 if self.normalize_variance else 1)

    def forward(self, bottom, top):
        xp = self.xp
        x, y = self._fold(bottom[0].data, top[0].data)
        self._mean(x)
        xp.subtract(x, self.mean[:, None], out=y)
        if not self.normalize_variance:
            return
        (product,) = self._fold(self.product)
        xp.square(y, out=product)
        xp.sum(product, axis=1, out=self.std)
        self.std /= y.shape[1]
        xp.sqrt(self.std, out=self.std)
        xp.add(self.std, self.eps, out=self.inverse)
        # A divisor of 0 is never used: y is 0 there, and so is all that it divides.
        for divisor in (self.std, self.inverse):
            xp.maximum(divisor, np.finfo(self.dtype).tiny, out=divisor)
        xp.divide(1, self.inverse, out=self.inverse)
        y *= self.inverse[:, None]

    def backward(self, top, wanted, bottom):
        xp = self.xp
        y, dy, dx = self._fold(top[0].data, top[0].diff, bottom[0].diff)
        if not self.normalize_variance:
            self._mean(dy)
            xp.subtract(dy, self.mean[:, None], out=dx)
            return
        (product,) = self._fold(self.product)
        # dx = (dy - mean(dy)) / (std + eps) - y * mean(dy * y) / std
        xp.multiply(dy, y, out=product)
        self._mean(product)
        self.mean /= self.std
        xp.multiply(y, self.mean[:, None], out=product)
        self._mean(dy)
        xp.subtract(dy, self.mean[:, None], out=dx)
        dx *= self.inverse[:, None]
        dx -= product

    def _mean(self, a):
        """Fill `mean` with that of each row."""
        self.xp.sum(a, axis=1, out=self.mean)
        self.mean /= a.shape[1]

    def _rows(self, shape):
        """Return the number of parts that are normalised by themselves."""
        return shape[0] if self.across_channels else shape[0] * shape[1]

    def _fold(self, *arrays):
        """Arrays with a row for each part that is normalised by itself."""
        rows = self._rows(arrays[0].shape)
        return views(lambda array: array.reshape(rows, -1), *arrays)
