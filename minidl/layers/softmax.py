"""Scores to probabilities: the `Softmax` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl import ops
from minidl.layers.base import Layer, register, scratch
from minidl.layers.folding import fold, product_shape, views


@register("Softmax")
class Softmax(Layer):
    r"""Turn scores into positive numbers that sum to 1 along an axis.

        y[c] = exp(x[c] - max(x)) / sum(exp(x[j] - max(x)) for all j)

    and backward

        dx[c] = y[c] * (dy[c] - sum(dy[j] * y[j] for all j))

    Taking off the largest score first changes nothing but keeps exp from overflowing.

    bottom[0]       scores of any shape with at least one class on the axis
    top[0]          the same shape; may be bottom[0] itself
    softmax_param   axis (1: channels; negative counts from the end); engine (CAFFE: this code;
                    MKLDNN: oneDNN; CUDNN: cuDNN, on a GPU)

    Source: Bridle 1990, "Probabilistic interpretation of feedforward classification network
    outputs", equation 3.
    """

    family = "activation"
    computes = (ops.Softmax,)
    parameters = ("softmax_param",)
    keeps = ("top",)
    in_place = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.class_axis = read_softmax_param(self)
        self.op = ops.Softmax(self.class_axis)

    def top_shapes(self, bottom):
        self._fold(bottom)
        return (bottom,)

    def buffers(self, bottom):
        outer, _, inner = three = self._fold(bottom)
        product = product_shape(self.ctx.device, three)
        return {"row": scratch((outer, 1, inner)), "product": scratch(product)}

    def multiply_adds(self, bottom):
        return math.prod(bottom)

    def forward(self, bottom, top):
        three = self._fold(bottom[0].shape)
        x, y = views(lambda array: array.reshape(three), bottom[0].data, top[0].data)
        softmax(self.xp, x, y, self.row)

    def backward(self, top, wanted, bottom):
        three = self._fold(bottom[0].shape)
        y = top[0].data.reshape(three)
        dy, dx = views(lambda array: array.reshape(three), top[0].diff, bottom[0].diff)
        softmax_backward(self.xp, y, dy, dx, self.row, self.product)

    def _fold(self, bottom):
        axis = self.axis(self.class_axis, bottom)
        if bottom[axis] == 0:
            self.reject(f"the bottom {bottom} has no class on axis {axis}", expected="at least one")
        return fold(bottom, axis)


def read_softmax_param(layer: Layer) -> int:
    """Return the axis of the classes; warn if the engine asked for is not available."""
    p = layer.spec.softmax_param
    layer.check_engine(p)
    return p.axis


def softmax(xp, x, y, row):
    """Fill y with the softmax of x along the middle axis; `row`, (outer, 1, inner), is
    overwritten."""
    xp.amax(x, axis=1, keepdims=True, out=row)  # less the largest, so that exp cannot overflow
    xp.subtract(x, row, out=y)
    xp.exp(y, out=y)
    xp.add.reduce(y, axis=1, keepdims=True, out=row)
    y /= row  # row holds the sums now


def softmax_backward(xp, y, dy, dx, row, product):
    """Fill dx, which may be dy itself, with the gradient of the scores.

    Overwritten: `row`, and `product`, of a shape that `product_shape` says; it may be dx where that
    is not dy.
    """
    # dx = y * (dy - sum(dy * y)); einsum adds up products without storing them.
    if xp is np:
        np.einsum("oci,oci->oi", y, dy, out=row[:, 0])
    else:  # CuPy's einsum cannot fill an array it is given
        xp.multiply(y, dy, out=product)
        xp.sum(product, axis=1, keepdims=True, out=row)
    xp.subtract(dy, row, out=dx)
    dx *= y
