"""Regression by distances: the `L1Loss` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, saved, scratch
from minidl.layers.loss import LossLayer


@register("L1Loss")
class L1Loss(LossLayer):
    r"""The sum of all distances between two batches, per item.

    With N items of any size,

        loss = sum(|a - b|) / N
        da   = w * sign(a - b) / N          db = -da

    where w is the gradient of the loss, its loss weight, and the sign of 0 is 0.

    bottom[0]   a: (N, ...)
    bottom[1]   b: as many items with as many elements each, in any shape; it receives a gradient
                as well, so both may be predictions
    top[0]      the loss, shape ()

    Source: NVIDIA's fork of Caffe, for DetectNet. Other forks have a type of this name with
    parameters of their own.
    """

    fork = "NVIDIA/caffe"
    no_gradient = ()

    def top_shapes(self, a, b):
        self.check_same_batch(a, b)
        if math.prod(a) != math.prod(b):
            first, second = self.spec.bottom
            self.reject(
                f"items of '{first}' {a} have {math.prod(a[1:])} elements, those of "
                f"'{second}' {b} have {math.prod(b[1:])}",
                expected="as many elements in both",
            )
        return ((),)

    def buffers(self, a, b):
        count = (math.prod(a),)
        return {"sign": saved(count), "distance": scratch(count), "share": scratch(())}

    def forward(self, bottom, top):
        xp, loss = self.xp, top[0].data
        a, b = (blob.data.reshape(-1) for blob in bottom)
        xp.subtract(a, b, out=self.distance)
        xp.sign(self.distance, out=self.sign)  # all that backward needs
        xp.absolute(self.distance, out=self.distance)
        xp.sum(self.distance, out=loss)
        loss /= max(1, bottom[0].shape[0])

    def backward(self, top, wanted, bottom):
        self.xp.divide(top[0].diff, max(1, bottom[0].shape[0]), out=self.share)
        for blob, want in zip(bottom, wanted, strict=True):
            if want:
                self.xp.multiply(self.sign, self.share, out=blob.diff.reshape(-1))
            self.xp.negative(self.share, out=self.share)  # what b gets
