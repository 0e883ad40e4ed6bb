"""Random silencing of whole channels: the `SpatialDropout` layer."""

import math

import numpy as np

from minidl import schema
from minidl.layers.base import Layer, register, saved, scratch


@register("SpatialDropout")
class SpatialDropout(Layer):
    """In training, zero each channel of each item with probability `dropout_ratio`, and scale up
    the rest.

        m[n, c] = 0 with probability r, else 1 / (1 - r)       TEST: m = 1
        y[n, c, ...] = m[n, c] * x[n, c, ...]
        dx[n, c, ...] = m[n, c] * dy[n, c, ...]

    The mask is drawn in every forward pass and depends on the net's seed, the layer's name and the
    number of the pass only, as Dropout's does.

    bottom[0]       (N, C, ...)
    top[0]          the same shape; may be the bottom itself
    spatial_dropout_param   dropout_ratio (0.5), above 0 and below 1; and two fields of our own, for
                    ENet's Python layer of this name: phase, in place of the net's own, and
                    scale_test (false): in TEST, too, all of it is multiplied by 1 / (1 - r)

    Source: Tompson et al. 2015, section 3.2; the field is that of Intel's Caffe. ENet's layer is
    spatial_dropout.py; its backward takes the last item's mask for all items, which is not the
    gradient and not done here.
    """

    family = "activation"
    fork = "intel/caffe"
    keeps_positions = True
    parameters = ("spatial_dropout_param",)
    in_place = True
    keeps_sign = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.spatial_dropout_param
        self.ratio = p.dropout_ratio
        if not 0 < self.ratio < 1:
            self.reject_field(
                "spatial_dropout_param.dropout_ratio",
                expected="above 0 and below 1: the probability of dropping a channel",
            )
        phase = p.phase if p.HasField("phase") else ctx.phase  # the fork can draw in testing, too
        self.draws = phase == schema.TRAIN
        self.factor = 1 / (1 - self.ratio) if self.draws or p.scale_test else 1.0

    def top_shapes(self, bottom):
        if len(bottom) < 2:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...)")
        return (bottom,)

    def buffers(self, bottom):
        if not self.draws:
            return {}
        mask = bottom[:2] + (1,) * (len(bottom) - 2)
        # In float32 whatever the net's number type, so that the type does not change the mask.
        return {"mask": saved(mask), "drawn": scratch((math.prod(mask),), np.float32)}

    def forward(self, bottom, top):
        if self.draws:
            self.uniform(self.random(), self.drawn)
            self.xp.greater_equal(self.drawn.reshape(self.mask.shape), self.ratio, out=self.mask)
            self.mask *= self.factor
        self.xp.multiply(bottom[0].data, self._multiplier(), out=top[0].data)

    def backward(self, top, wanted, bottom):
        self.xp.multiply(top[0].diff, self._multiplier(), out=bottom[0].diff)

    def _multiplier(self):
        """m, or one number for all of it."""
        return self.mask if self.draws else self.factor
