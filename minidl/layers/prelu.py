"""A rectifier that learns its slope: the `PReLU` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl import schema
from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.folding import fold, middle_dot, product_shape, views


@register("PReLU")
class PReLU(Layer):
    """Pass what is positive, multiply the rest by a learned slope, one for each channel.

        y  = max(x, 0) + a * min(x, 0)
        dx = dy where x > 0,   a * dy elsewhere (at x = 0 too)
        da = sum(dy * min(x, 0)) over all axes but the channels

    bottom[0]     (N, C, ...)
    top[0]        the same shape; may be the bottom itself (a copy of x is then kept)
    slope         the learned a: (C), or () with channel_shared
    prelu_param   filler (0.25), channel_shared (false)

    Source: He, Zhang, Ren & Sun 2015, section 2.1.
    """

    family = "activation"
    keeps_positions = True
    parameters = ("prelu_param",)
    in_place = True
    keeps = ("bottom",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.prelu_param
        self.shared = p.channel_shared
        quarter = schema.FillerParameter(type="constant", value=0.25)
        self.fillers["slope"] = p.filler if p.HasField("filler") else quarter
        if self.is_in_place:
            self.keeps = ()

    def top_shapes(self, bottom):
        if len(bottom) < 2:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...)")
        return (bottom,)

    def param_shapes(self, bottom):
        return {"slope": () if self.shared else (bottom[1],)}

    def buffers(self, bottom):
        slopes = math.prod(self.param_shapes(bottom)["slope"])
        buffers = {
            "part": scratch(bottom),
            "product": scratch(product_shape(self.ctx.device, bottom)),
            "positive": scratch(bottom, np.bool_),
            "sums": scratch((slopes,)),
        }
        if self.is_in_place:
            buffers["x_copy"] = saved(bottom)
        return buffers

    def multiply_adds(self, bottom):
        return math.prod(bottom)

    def forward(self, bottom, top):
        xp = self.xp
        if self.is_in_place:
            self.x_copy[...] = bottom[0].data  # with a negative slope y does not tell the sign of x
        x, y, negative = self._fold(bottom[0].data, top[0].data, self.part)
        xp.minimum(x, 0, out=negative)
        negative *= self.slope.data.reshape(-1, 1)
        xp.maximum(x, 0, out=y)
        y += negative

    def backward(self, top, wanted, bottom):
        xp = self.xp
        x = self.x_copy if self.is_in_place else bottom[0].data
        x, part, positive = self._fold(x, self.part, self.positive)
        dy, dx = self._fold(top[0].diff, bottom[0].diff)
        if self.slope.wanted:
            xp.minimum(x, 0, out=part)
            middle_dot(xp, dy, part, self.sums, self.product)
            self.slope.diff += self.sums.reshape(self.slope.shape)
        if wanted[0]:  # last: in place, dx overwrites dy
            # part = dy / dx: the slope where x <= 0, else 1.
            xp.less_equal(x, 0, out=part)
            part *= self.slope.data.reshape(-1, 1)
            xp.greater(x, 0, out=positive)
            part += positive
            xp.multiply(dy, part, out=dx)

    def _fold(self, *arrays):
        """Arrays as (N, slopes, places)."""
        shape = arrays[0].shape
        three = (1, 1, arrays[0].size) if self.shared else fold(shape, 1)
        return views(lambda array: array.reshape(three), *arrays)
