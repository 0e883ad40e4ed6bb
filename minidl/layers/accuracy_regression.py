"""The error of a regression: the `AccuracyRegression` layer."""

from __future__ import annotations

import math

from minidl.layers.base import Layer, register, scratch


@register("AccuracyRegression")
class AccuracyRegression(Layer):
    r"""Half the sum of absolute differences, per item: of pairs of coordinates, their mean, summed.

        y = sum(|a - b|) / (2 N)

    bottom[0]        a: (N, ...)
    bottom[1]        b: as many items with as many elements each
    top[0]           y, shape ()
    accuracy_param   top_k (1), axis, ignore_label: accepted, and without effect

    There is no gradient. The less the better, whatever the name says.

    Source: BVLC/caffe, a branch of October 2014 (accuracy_regression_layer.cpp).
    """

    family = "loss"
    fork = "BVLC/caffe, a branch of October 2014"
    parameters = ("accuracy_param",)
    bottoms = 2
    differentiable = False

    def top_shapes(self, a, b):
        if not a or not b or a[0] != b[0] or math.prod(a) != math.prod(b):
            first, second = self.spec.bottom
            self.reject(
                f"'{first}' is {a} and '{second}' {b}",
                expected="as many items, with as many elements each",
            )
        return ((),)

    def buffers(self, a, b):
        return {"difference": scratch((math.prod(a),))}

    def forward(self, bottom, top):
        xp, d, y = self.xp, self.difference, top[0].data
        xp.subtract(bottom[0].data.reshape(-1), bottom[1].data.reshape(-1), out=d)
        xp.absolute(d, out=d)
        xp.sum(d, out=y)
        y /= 2 * max(1, bottom[0].shape[0])  # 0, not NaN, for an empty batch
