"""A convolution whose filters are others at every place: the `Local` layer."""

from __future__ import annotations

import math

from minidl import ops
from minidl.arrays.method_cache import method_cache
from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.columns import Unfolding


@register("Local")
class Local(Layer):
    r"""Slide over images as a Convolution does, with filters of their own for every place.

    With stride s, pad p, and x zero outside its borders, for each filter m and place o,

        y[n, m, o] = b[m, o] + sum(w[m, (c, t), o] * x[n, c, o * s - p + t]  over channels, taps)

    and backward, with X the columns of x,

        dw[m, (c, t), o] = sum(dy[n, m, o] * X[n, (c, t), o] over n)      db = sum of dy over n
        dX[n, (c, t), o] = sum(w[m, (c, t), o] * dy[n, m, o] over m)

    where dx adds up, for each element of x, all its copies in dX.

    bottom[0]     (N, C, H, W)
    top[0]        (N, num_output, out_h, out_w), out = (size + 2 pad - kernel_size) / stride + 1
                  cut toward 0
    weight        (num_output, 1, C * kernel_size**2, out_h * out_w)
    bias          (1, 1, num_output, out_h * out_w), unless bias_term is false
    local_param   num_output, kernel_size, stride (1), pad (0), bias_term (true), weight_filler,
                  bias_filler

    As the places are part of the weights' shape, so is the bottom's size.

    Source: BVLC/caffe, pull request 1271 (local_layer.cpp). Branches of 2013 called the same layer
    "locally_connected". Taigman et al. 2014 (DeepFace), section 2.2.
    """

    family = "weights"
    fork = "BVLC/caffe, pull request 1271"
    parameters = ("local_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.local_param
        self.check_positive("local_param", "num_output", "kernel_size", "stride")
        self.fillers = {"weight": p.weight_filler, "bias": p.bias_filler}
        # Not `op`, by which engines would take this for a convolution.
        kernel, stride, pad = (p.kernel_size,), (p.stride,), (p.pad,)
        self.window = ops.Conv(p.num_output, kernel, stride, pad, bias=p.bias_term)
        self._unfolding = method_cache(self._make_unfolding, 4)

    def top_shapes(self, bottom):
        self.check_images(bottom)
        out = self.window.out(bottom[2:])
        if min(out) < 1:
            size, pad = self.window.kernel[0], self.window.pad[0]
            self.reject(
                f"kernel_size is {size}, pad {pad}, and the bottom {bottom}",
                expected="filters that fit into the padded bottom",
                field="local_param.kernel_size",
            )
        return ((bottom[0], self.window.num_output, *out),)

    def param_shapes(self, bottom):
        unfolding, filters = self._unfolding(bottom), self.window.num_output
        shapes = {"weight": (filters, 1, unfolding.rows, unfolding.positions)}
        if self.window.bias:
            shapes["bias"] = (1, 1, filters, unfolding.positions)
        return shapes

    def buffers(self, bottom):
        unfolding = self._unfolding(bottom)
        columns = (unfolding.rows, bottom[0], unfolding.positions)
        return {
            "columns": saved(columns),
            "product": scratch(columns),
            "column_gradient": scratch(columns),
            "share": scratch((unfolding.rows, unfolding.positions)),
            "bias_share": scratch((self.window.num_output, unfolding.positions)),
            "stages": scratch((unfolding.workspace(bottom[0]),)),
        }

    def multiply_adds(self, bottom):
        return bottom[0] * math.prod(self.param_shapes(bottom)["weight"])

    def forward(self, bottom, top):
        xp, unfolding = self.xp, self._unfolding(bottom[0].shape)
        unfolding.unfold(xp, bottom[0].data, self.columns, self.stages)
        for m, (filters, y) in enumerate(self._by_filter(self.weight.data, top[0].data)):
            xp.multiply(self.columns, filters, out=self.product)  # (C * taps, N, places)
            xp.sum(self.product, axis=0, out=y)
            if self.window.bias:
                y += self.bias.data[0, 0, m]

    def backward(self, top, wanted, bottom):
        xp, product = self.xp, self.product
        if self.window.bias and self.bias.wanted:
            dy = top[0].diff.reshape(-1, *self.bias_share.shape)
            xp.sum(dy, axis=0, out=self.bias_share)
            self.bias.diff += self.bias_share
        if self.weight.wanted:
            for gradient, dy in self._by_filter(self.weight.diff, top[0].diff):
                xp.multiply(self.columns, dy, out=product)
                xp.sum(product, axis=1, out=self.share)  # over images: (C * taps, places)
                gradient += self.share[:, None]
        if wanted[0]:
            self.column_gradient.fill(0)
            for filters, dy in self._by_filter(self.weight.data, top[0].diff):
                xp.multiply(filters, dy, out=product)
                self.column_gradient += product  # every filter sees the same columns
            unfolding = self._unfolding(bottom[0].shape)
            unfolding.fold(self.column_gradient, bottom[0].diff, self.stages)

    def _by_filter(self, weight, top):
        """For each filter its weights (C * taps, 1, places) and its channel (N, places)."""
        maps = top.reshape(*top.shape[:2], -1).swapaxes(0, 1)
        return zip(weight.swapaxes(1, 2), maps, strict=True)

    def _make_unfolding(self, bottom):
        op, out = self.window.over(2), self.top_shapes(bottom)[0][2:]
        geometry = op.kernel, op.stride, op.pad, op.dilation
        return Unfolding(bottom[1], bottom[2:], *geometry, out)
