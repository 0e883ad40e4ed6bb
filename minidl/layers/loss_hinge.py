"""Margins, one class against all others: the `HingeLoss` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.labels import ItemLabelled
from minidl.layers.loss import LossLayer


@register("HingeLoss")
class HingeLoss(LossLayer, ItemLabelled):
    r"""Push the score of the true class above 1 and those of all others below -1.

    With N items of C scores, s = 1 for the true class and -1 for the others, and p = 1 for the
    norm L1, 2 for L2,

        loss = sum(max(0, 1 - s * x)**p) / N
        dx   = -w * s * (1 where s * x < 1)         / N      L1
        dx   = -w * s * 2 * max(0, 1 - s * x)       / N      L2

    where w is the gradient of the loss: its loss weight.

    bottom[0]         scores: (N, C), or (N, ...) with C elements each
    bottom[1]         labels: N whole numbers from 0 to C - 1
    top[0]            the loss, shape ()
    hinge_loss_param  norm (L1)

    Source: Cortes & Vapnik 1995, one class against the rest; L2: Tang 2013, section 2.3.
    """

    parameters = ("hinge_loss_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.hinge_loss_param
        self.squared = p.norm == p.L2

    def top_shapes(self, scores, labels):
        self.check_same_batch(scores, labels)
        self.fold_scores(scores, labels)
        return ((),)

    def buffers(self, scores, labels):
        outer, classes, _ = self.fold_scores(scores, labels)
        two = (outer, classes)
        return {
            "side": saved(two),  # -s
            "violation": saved(two),  # max(0, 1 - s * x)
            "power": scratch(two),
            "share": scratch(()),
            **self.label_buffers(scores, labels),
        }

    def multiply_adds(self, scores, labels):
        return math.prod(scores)

    def forward(self, bottom, top):
        xp, side, violation, loss = self.xp, self.side, self.violation, top[0].data
        self.read_labels(bottom[1].data, side.shape[1])
        # -1 for the true class, 1 for the others.
        side.fill(1)
        xp.add.at(side.reshape(-1), self.place.reshape(-1), self.table(np.array, -2, self.dtype))
        xp.multiply(bottom[0].data.reshape(side.shape), side, out=violation)
        violation += 1
        xp.maximum(violation, 0, out=violation)
        self.spoil(violation)
        if self.squared:
            xp.square(violation, out=self.power)
        xp.sum(self.power if self.squared else violation, out=loss)
        loss /= max(1, len(side))

    def backward(self, top, wanted, bottom):
        xp, dx = self.xp, bottom[0].diff.reshape(self.side.shape)
        xp.divide(top[0].diff, max(1, len(dx)), out=self.share)
        if self.squared:
            xp.multiply(self.violation, 2, out=dx)
        else:
            xp.sign(self.violation, out=dx)  # 1 where the margin is violated
        dx *= self.side
        dx *= self.share
