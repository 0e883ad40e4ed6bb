"""Random silencing against overfitting: the `Dropout` layer."""

import math

import numpy as np

from minidl import ops
from minidl.layers.base import Layer, register, saved, scratch


@register("Dropout")
class Dropout(Layer):
    """In training, zero each number with probability `dropout_ratio` and scale up the rest.

        m = 0 with probability r, else 1 / (1 - r)       TEST: m = 1
        y = m * x
        dx = m * dy

    Scaling by 1 / (1 - r) keeps the expectation, so that in phase TEST there is nothing to do. The
    mask is drawn in every forward pass and depends on the net's seed, the layer's name
    and the number of the pass only: a resumed run, or one in float64, drops the same elements.

    bottom[0]       any shape
    top[0]          the same shape; may be the bottom itself, and in TEST is a view of it
    dropout_param   dropout_ratio (0.5), above 0 and below 1; and two fields of forks:
                    sample_weights_test (false), SegNet's: masks are drawn in TEST, too
                    scale_train (true), Fast R-CNN's: where false, a mask that is drawn is 0 or 1,
                    and m = 1 - r where none is

    Source: Srivastava et al. 2014, section 10 (the form that scales during training); Hinton et
    al. 2012.
    """

    family = "activation"
    keeps_positions = True
    computes = (ops.Dropout,)
    parameters = ("dropout_param",)
    in_place = True
    keeps_sign = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.ratio = spec.dropout_param.dropout_ratio
        if not 0 < self.ratio < 1:
            self.reject_field(
                "dropout_param.dropout_ratio",
                expected="above 0 and below 1: the probability of dropping an element",
                fix="to drop nothing, take the layer out" if self.ratio == 0 else "",
            )
        self.draws = ctx.training or spec.dropout_param.sample_weights_test
        self.scales_up = spec.dropout_param.scale_train
        if self.draws and self.scales_up:
            self.op = ops.Dropout(self.ratio)
        elif not self.draws and self.scales_up:
            self.views = {0: 0}  # nothing to do: the top is the bottom

    def top_shapes(self, bottom):
        return (bottom,)

    def buffers(self, bottom):
        if not self.draws:
            return {}
        # In float32 whatever the net's number type, so that the type does not change the mask.
        piece = min(self.ctx.device.piece, math.prod(bottom))
        return {"mask": saved(bottom), "drawn": scratch((piece,), np.float32)}

    def forward(self, bottom, top):
        if self.draws:
            self._draw_mask()
        if not self.views:
            self.xp.multiply(bottom[0].data, self._factor(), out=top[0].data)

    def _draw_mask(self):
        rng, flat, piece = self.random(), self.mask.reshape(-1), self.ctx.device.piece
        for start in range(0, flat.size, piece):  # the drawn numbers stay in the cache
            mask = flat[start : start + piece]
            drawn = self.drawn[: mask.size]
            self.uniform(rng, drawn)
            self.xp.greater_equal(drawn, self.ratio, out=mask)
            if self.scales_up:
                mask *= 1 / (1 - self.ratio)  # so that the mean stays what it was

    def backward(self, top, wanted, bottom):
        if not self.views:
            self.xp.multiply(top[0].diff, self._factor(), out=bottom[0].diff)

    def _factor(self):
        """m: the mask, or what stands in for it where none is drawn."""
        return self.mask if self.draws else 1 - self.ratio
