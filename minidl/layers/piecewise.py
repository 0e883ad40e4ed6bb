"""Straight lines with corners or a step: the `AbsVal`, `Clip` and `Threshold` layers."""

from __future__ import annotations

import numpy as np

from minidl.layers.activation import Pieces
from minidl.layers.base import register, scratch


@register("AbsVal")
class AbsVal(Pieces):
    """Drop the sign.

        y = |x|
        dx = dy * sign(x)   (0 at x = 0)

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself, unless a gradient needs x again

    It has no parameters.

    Source: Caffe, which never lets it work in place.
    """

    keeps = ("bottom",)

    def forward(self, bottom, top):
        self.xp.abs(bottom[0].data, out=top[0].data)

    def backward(self, top, wanted, bottom):
        for x, dy, dx in self._pieces(bottom[0].data, top[0].diff, bottom[0].diff):
            self.xp.sign(x, out=dx)  # 0 where x is
            dx *= dy


@register("Clip")
class Clip(Pieces):
    """Keep every number between two limits.

        y = min if x < min,   max if x > max,   x otherwise
        dx = dy where min <= x <= max,   0 elsewhere

    bottom[0]    any shape
    top[0]       the same shape; may be the bottom itself, unless a gradient needs x again
    clip_param   min and max, both required

    Source: Caffe, which in place finds every y within the limits, and passes the whole gradient on.
    """

    parameters = ("clip_param",)
    keeps = ("bottom",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.clip_param
        missing = [field for field in ("min", "max") if not p.HasField(field)]
        if missing:
            self.reject(f"{' and '.join(missing)} missing", fix="add clip_param { min: 0 max: 6 }")
        self.least, self.most = p.min, p.max
        if not self.least <= self.most:
            self.reject(
                f"min is {self.least:g} and max is {self.most:g}",
                expected="min not above max",
                field="clip_param.min",
            )

    def buffers(self, bottom):
        piece = self._piece(bottom)
        return {"inside": scratch(piece, np.bool_), "below": scratch(piece, np.bool_)}

    def forward(self, bottom, top):
        self.xp.clip(bottom[0].data, self.least, self.most, out=top[0].data)

    def backward(self, top, wanted, bottom):
        xp = self.xp
        for x, dy, dx in self._pieces(bottom[0].data, top[0].diff, bottom[0].diff):
            inside, below = self.inside[: len(x)], self.below[: len(x)]
            # At the limits gradient passes, as in Caffe
            xp.greater_equal(x, self.least, out=inside)
            xp.less_equal(x, self.most, out=below)
            inside &= below
            xp.multiply(dy, inside, out=dx)


@register("Threshold")
class Threshold(Pieces):
    """Tell which numbers lie above a limit.

        y = 1 where x > threshold, 0 elsewhere

    bottom[0]         any shape
    top[0]            the same shape; may be the bottom itself
    threshold_param   threshold (0)

    No gradient passes.

    Source: Caffe.
    """

    parameters = ("threshold_param",)
    differentiable = False

    def forward(self, bottom, top):
        threshold = self.spec.threshold_param.threshold
        self.xp.greater(bottom[0].data, threshold, out=top[0].data)
