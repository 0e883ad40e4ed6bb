"""Regression by distances: the `L1Loss` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, saved, scratch
from minidl.layers.loss_euclidean import EuclideanLoss


@register("L1Loss")
class L1Loss(EuclideanLoss):
    r"""The sum of all distances between two batches, per item.

    With N items of any size,

        loss = sum(|a - b|) / N
        da   = w * sign(a - b) / N          db = -da

    where w is the gradient of the loss, its loss weight, and the sign of 0 is 0. Backward is
    EuclideanLoss's, with the sign as the slope.

    bottom[0]   a: (N, ...)
    bottom[1]   b: as many items with as many elements each, in any shape; it receives a gradient
                as well, so both may be predictions
    top[0]      the loss, shape ()

    Source: NVIDIA's fork of Caffe, for DetectNet. Other forks have a type of this name with
    parameters of their own.
    """

    fork = "NVIDIA/caffe"

    def buffers(self, a, b):
        count = (math.prod(a),)
        return {"slope": saved(count), "distance": scratch(count), "share": scratch(())}

    def multiply_adds(self, a, b):
        return 0

    def forward(self, bottom, top):
        xp, loss = self.xp, top[0].data
        a, b = (blob.data.reshape(-1) for blob in bottom)
        xp.subtract(a, b, out=self.distance)
        xp.sign(self.distance, out=self.slope)  # all that backward needs
        xp.absolute(self.distance, out=self.distance)
        xp.sum(self.distance, out=loss)
        loss /= max(1, bottom[0].shape[0])
