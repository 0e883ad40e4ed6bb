"""Angles between directions: the `AngleLoss` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.folding import fold
from minidl.layers.loss import LossLayer

LARGEST = 10.0  # a label whose first channel is larger is none
FLATTEST = 1e-6  # least sine that backward divides by


@register("AngleLoss")
class AngleLoss(LossLayer):
    r"""The angle between predicted and true directions, summed over places, per item.

    With t = sum(a[c] * b[c] over channels) at each place, for N items,

        loss = sum(acos(t)) / N
        da   = -w * b / sqrt(1 - t**2) / N

    where w is the gradient of the loss. A place counts for nothing where abs(b[0]) > 10: it has
    no label.

    bottom[0]   a: (N, C, ...), of length 1 along C, as Norm gives them
    bottom[1]   b: labels, as many items with as many elements each, of length 1 along C
    top[0]      the loss, shape ()

    Rounding may bring t beyond 1: it counts as 1 then, and sqrt(1 - t**2) as 1e-6 where it is less,
    where the fork gives NaN and adds 1e-6.

    Source: xiaolonw/caffe-3dnormal_joint_pose (angle_loss_layer.cpp).
    """

    fork = "xiaolonw/caffe-3dnormal_joint_pose"
    keeps = ("bottom",)

    def top_shapes(self, a, b):
        self.check_same_batch(a, b)
        if len(a) < 2 or math.prod(a) != math.prod(b) or 0 in a:
            first, second = self.spec.bottom
            self.reject(
                f"'{first}' is {a} and '{second}' {b}",
                expected="(N, C, ...), not empty, and as many elements in both",
            )
        return ((),)

    def buffers(self, a, b):
        outer, _, inner = three = fold(a, 1)
        return {
            "cosine": saved((outer, inner)),
            "absent": saved((outer, inner), np.bool_),
            "product": scratch(three),
            "place": scratch((outer, inner)),
            "share": scratch(()),
        }

    def multiply_adds(self, a, b):
        return math.prod(a)

    def sample_bottoms(self, shapes, rng):
        a, b = (rng.standard_normal(shapes[0]) for _ in range(2))
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
        b[0, 0].flat[0] = 2 * LARGEST  # one place without a label
        return [0.9 * a, b.reshape(shapes[1])]

    def forward(self, bottom, top):
        xp, t, loss = self.xp, self.cosine, top[0].data
        a, b = (blob.data.reshape(self.product.shape) for blob in bottom)
        xp.multiply(a, b, out=self.product)
        xp.sum(self.product, axis=1, out=t)
        xp.clip(t, -1, 1, out=t)  # rounding may lead beyond, where arccos is NaN
        xp.absolute(b[:, 0], out=self.place)
        xp.greater(self.place, LARGEST, out=self.absent)
        xp.arccos(t, out=self.place)
        xp.copyto(self.place, 0, where=self.absent)
        xp.sum(self.place, out=loss)
        loss /= len(t)

    def backward(self, top, wanted, bottom):
        xp, t, slope = self.xp, self.cosine, self.place
        b, da = (a.reshape(self.product.shape) for a in (bottom[1].data, bottom[0].diff))
        xp.divide(top[0].diff, -len(t), out=self.share)
        # The derivative of arccos(t) is -1 / sqrt(1 - t**2).
        xp.square(t, out=slope)
        xp.subtract(1, slope, out=slope)
        xp.sqrt(slope, out=slope)
        xp.maximum(slope, FLATTEST, out=slope)
        xp.divide(self.share, slope, out=slope)
        xp.copyto(slope, 0, where=self.absent)
        xp.multiply(b, slope[:, None], out=da)
