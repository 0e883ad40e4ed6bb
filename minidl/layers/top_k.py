"""Only the largest activations: the `TopK` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, saved, scratch


@register("TopK")
class TopK(Layer):
    r"""Keep the k largest activations of each item, and set all others to 0.

        y[i] = x[i], dx[i] = dy[i]   where x[i] is among the k largest of its item
        y[i] = 0,    dx[i] = 0       elsewhere

    Of equal ones the first are kept.

    bottom[0]    (N, ...)
    top[0]       the same shape; may be bottom[0] itself
    topk_param   k; a (1): outside training, a * k, rounded down, are kept

    Source: BVLC/caffe, pull request 1137 (topk_layer.cpp); Makhzani & Frey 2013, "k-Sparse
    Autoencoders", section 2.
    """

    family = "activation"
    fork = "BVLC/caffe, pull request 1137"
    parameters = ("topk_param",)
    in_place = True
    keeps_sign = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.topk_param
        if p.k < 1:
            self.reject("k is 0 or missing", fix="topk_param { k: 100 }")
        if not (p.a > 0 and math.isfinite(p.a)):
            self.reject_field("topk_param.a", expected="a number above 0")
        self.k = p.k if ctx.training else int(p.k * p.a)  # a > 1 lets more pass in testing
        if self.k < 1:
            self.reject(f"a is {p.a:g}, so a * k is below 1", field="topk_param.a")

    def top_shapes(self, bottom):
        if not bottom or self.k > math.prod(bottom[1:]):
            self.reject(
                f"k is {self.k}, but each item of the bottom {bottom} has {math.prod(bottom[1:])}",
                expected="as many or more",
                field="topk_param.k",
            )
        return (bottom,)

    def buffers(self, bottom):
        rows = (bottom[0], math.prod(bottom[1:]))
        return {
            "kept": saved(rows, np.bool_),
            "dropped": saved(rows, np.bool_),
            "chosen": scratch(rows, np.bool_),
            "rest": scratch(rows),
            "index": scratch((rows[0],), np.int64),
        }

    def forward(self, bottom, top):
        xp, kept, rest, chosen = self.xp, self.kept, self.rest, self.chosen
        places = self.table(np.arange, kept.shape[1])
        rest[...] = bottom[0].data.reshape(rest.shape)
        kept.fill(False)
        for _ in range(self.k):
            xp.argmax(rest, axis=1, out=self.index)  # of equal ones the first
            xp.equal(places, self.index[:, None], out=chosen)
            kept |= chosen
            xp.copyto(rest, -math.inf, where=chosen)  # not to be found again
        xp.logical_not(kept, out=self.dropped)
        self._pass(bottom[0].data, top[0].data)

    def backward(self, top, wanted, bottom):
        self._pass(top[0].diff, bottom[0].diff)

    def _pass(self, source, target):
        """Copy what is kept, and zeros elsewhere; both may be the same array."""
        if target is not source:
            target[...] = source
        self.xp.copyto(target.reshape(self.kept.shape), 0, where=self.dropped)
