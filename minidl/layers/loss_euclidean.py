"""Regression: the `EuclideanLoss` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, saved, scratch
from minidl.layers.folding import dot, product_shape
from minidl.layers.loss import LossLayer


@register("EuclideanLoss")
class EuclideanLoss(LossLayer):
    r"""Half the squared distance between two batches, per item.

    With N items of any size,

        loss = sum((a - b)**2) / (2 N)
        da   = w * (a - b) / N           db = -da

    where w is the gradient of the loss: its loss weight.

    bottom[0]   a: (N, ...)
    bottom[1]   b: as many items with as many elements each, in any shape; it receives a gradient
                as well, so both may be predictions
    top[0]      the loss, shape ()

    Source: least squares, with the factors of Caffe's layer of this name.
    """

    no_gradient = ()

    def top_shapes(self, a, b):
        self.check_same_items(a, b)
        return ((),)

    def buffers(self, a, b):
        count = (math.prod(a),)
        return {
            "slope": saved(count),  # a - b
            "product": scratch(product_shape(self.ctx.device, count)),
            "share": scratch(()),
        }

    def multiply_adds(self, a, b):
        return math.prod(a)

    def forward(self, bottom, top):
        a, b, d, loss = bottom[0].data, bottom[1].data, self.slope, top[0].data
        self.xp.subtract(a.reshape(-1), b.reshape(-1), out=d)
        dot(self.xp, d, d, loss, self.product)  # a sum of squares without an array of squares
        loss /= 2 * max(1, bottom[0].shape[0])

    def backward(self, top, wanted, bottom):
        self.xp.divide(top[0].diff, max(1, bottom[0].shape[0]), out=self.share)
        for blob, want in zip(bottom, wanted, strict=True):
            if want:
                self.xp.multiply(self.slope, self.share, out=blob.diff.reshape(-1))
            self.xp.negative(self.share, out=self.share)  # what b gets
