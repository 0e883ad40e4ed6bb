"""Exponentials and logarithms to any base: the `Exp` and `Log` layers."""

from __future__ import annotations

import math

from minidl.layers.activation import Pieces
from minidl.layers.base import register, scratch


class Based(Pieces):
    """Base of Exp and Log: a base and a linear function of x."""

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        (field,) = self.parameters
        p = getattr(spec, field)
        if not (p.base == -1 or 0 < p.base < math.inf) or (p.base == 1 and self.type == "Log"):
            but = ", but not 1" if self.type == "Log" else ""
            self.reject_field(
                f"{field}.base", expected=f"a number above 0{but}; or -1, which stands for e"
            )
        self.scale, self.shift = p.scale, p.shift
        self.log_base = 1.0 if p.base == -1 else math.log(p.base)  # -1 stands for e

    def _linear(self, x, out):
        """out = shift + scale * x"""
        self.xp.multiply(x, self.scale, out=out)
        if self.shift != 0:
            out += self.shift


@register("Exp")
class Exp(Based):
    """Raise a base to a linear function of every number.

        y = base**(shift + scale * x)
        dx = dy * y * scale * ln(base)

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself
    exp_param   base (-1, which stands for e), scale (1), shift (0)

    Source: Caffe.
    """

    parameters = ("exp_param",)
    keeps = ("top",)

    def forward(self, bottom, top):
        for x, y in self._pieces(bottom[0].data, top[0].data):
            self._linear(x, y)
            if self.log_base != 1:
                y *= self.log_base  # b**x = exp(x * log(b))
            self.xp.exp(y, out=y)

    def backward(self, top, wanted, bottom):
        for y, dy, dx in self._pieces(top[0].data, top[0].diff, bottom[0].diff):
            self.xp.multiply(dy, y, out=dx)
            dx *= self.scale * self.log_base


@register("Log")
class Log(Based):
    """Take the logarithm of a linear function of every number.

        y = log(shift + scale * x) / ln(base)
        dx = dy * scale / ((shift + scale * x) * ln(base))

    bottom[0]   any shape; y is NaN where shift + scale * x is below 0, and -infinity at 0
    top[0]      the same shape; may be the bottom itself, unless a gradient needs x again
    log_param   base (-1, which stands for e), scale (1), shift (0)

    Source: Caffe, which in place takes the gradient at y instead of x without a word.
    """

    parameters = ("log_param",)
    keeps = ("bottom",)

    def buffers(self, bottom):
        return {"part": scratch(self._piece(bottom))}

    def sample_bottoms(self, shapes, rng):
        if self.scale == 0:
            return super().sample_bottoms(shapes, rng)
        return [(rng.uniform(0.5, 2, s) - self.shift) / self.scale for s in shapes]

    def forward(self, bottom, top):
        for x, y in self._pieces(bottom[0].data, top[0].data):
            self._linear(x, y)
            self.xp.log(y, out=y)
            if self.log_base != 1:
                y /= self.log_base  # log to base b = log(x) / log(b)

    def backward(self, top, wanted, bottom):
        for x, dy, dx in self._pieces(bottom[0].data, top[0].diff, bottom[0].diff):
            inner = self.part[: len(x)]
            self._linear(x, inner)
            self.xp.divide(dy, inner, out=dx)
            dx *= self.scale / self.log_base
