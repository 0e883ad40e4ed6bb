"""The fully connected layer: `InnerProduct`."""

from __future__ import annotations

import math

import numpy as np

from minidl import ops
from minidl.layers.base import Layer, register, scratch


@register("InnerProduct")
class InnerProduct(Layer):
    r"""Give every output a weighted sum of all inputs.

    With the axes from `axis` on flattened into K inputs, and all axes before it into M rows,

        Y = X W' + b
        dX = dY W        dW = dY' X        db = sum of dY over its rows

    bottom[0]   (*rows, *inputs), cut before `axis`
    top[0]      (*rows, num_output)
    weight      (num_output, K); with ``transpose: true`` (K, num_output), and W' above is W
    bias        (num_output), unless bias_term is false

    inner_product_param
        num_output          outputs
        axis (1)            first axis of the inputs; negative counts from the end
        bias_term (true), weight_filler, bias_filler
        transpose (false)   how the weights are stored
        engine              CAFFE: this code; MKLDNN: oneDNN
        normalize (false)   before each forward, bring each output's weights to length 1 where they
                            are stored: w / sqrt(sum(w**2) + 1e-6). Gradients are those of the
                            product with these weights. Array code computes it, no engine

    normalize is that of happynear/caffe-windows, for cosines; not together with transpose.

    Source: Rosenblatt 1958; trained through several layers, Rumelhart, Hinton & Williams 1986.
    """

    family = "weights"
    computes = (ops.Gemm,)
    parameters = ("inner_product_param",)
    keeps = ("bottom",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.inner_product_param
        if p.num_output == 0:
            self.reject("num_output is 0 or missing", expected="the number of outputs")
        self.check_engine(p)
        self.normalizes = p.normalize
        if self.normalizes and p.transpose:
            self.reject(
                "has both normalize and transpose",
                fix="leave out one of them",
                field="inner_product_param.normalize",
            )
        self.gemm = ops.Gemm(p.num_output, p.bias_term, p.transpose, p.axis)
        self.op = None if self.normalizes else self.gemm  # engines leave weights as they are
        self.fillers = {"weight": p.weight_filler}
        if p.bias_term:
            self.fillers["bias"] = p.bias_filler

    def top_shapes(self, bottom):
        axis = self._axis(bottom)
        if 0 in bottom:
            self.reject(f"the bottom is empty: {bottom}")
        return ((*bottom[:axis], self.gemm.num_output),)

    def param_shapes(self, bottom):
        inputs, outputs = math.prod(bottom[self._axis(bottom) :]), self.gemm.num_output
        weight = (inputs, outputs) if self.gemm.transpose else (outputs, inputs)
        return {"weight": weight, "bias": (outputs,)} if self.gemm.bias else {"weight": weight}

    def buffers(self, bottom):
        # Products cannot be added to in place, so dW is made and added a few rows at a time: for
        # AlexNet's fc6 a second array of its size would be 151 MB, and as much more to read.
        rows, columns = self.param_shapes(bottom)["weight"]
        limit = self.ctx.workspace_limit // np.dtype(self.dtype).itemsize
        buffers = {"gradient": scratch((min(rows, max(1, limit // columns)), columns))}
        if self.gemm.bias:
            buffers["bias_gradient"] = scratch((self.gemm.num_output,))
        if self.normalizes:
            buffers["squares"] = scratch((rows, columns))
            buffers["length"] = scratch((rows, 1))
        return buffers

    def multiply_adds(self, bottom):
        return math.prod(bottom) * self.gemm.num_output

    def forward(self, bottom, top):
        if self.normalizes:
            self._normalize()
        y = self._rows(top[0].data)
        self.xp.matmul(self._rows(bottom[0].data, y), self._inputs_first(), out=y)
        if self.gemm.bias:
            y += self.bias.data

    def backward(self, top, wanted, bottom):
        dy = self._rows(top[0].diff)
        if self.gemm.bias and self.bias.wanted:
            self.xp.sum(dy, axis=0, out=self.bias_gradient)
            self.bias.diff += self.bias_gradient
        if self.weight.wanted:
            self._add_weight_gradient(self._rows(bottom[0].data, dy), dy)
        if wanted[0]:
            dx = self._rows(bottom[0].diff, dy)
            self.xp.matmul(dy, self._inputs_first().T, out=dx)

    def _normalize(self):
        xp, w, length = self.xp, self.weight.data, self.length
        xp.square(w, out=self.squares)
        xp.sum(self.squares, axis=1, keepdims=True, out=length)
        # Before the root: rows of zeros stay zeros.
        length += 1e-6
        xp.sqrt(length, out=length)
        w /= length

    def _add_weight_gradient(self, x, dy):
        left, right = (x, dy) if self.gemm.transpose else (dy, x)
        if self.weight.gradient.fresh:  # counts as zero: neither read nor cleared
            whole = self.weight.gradient.memory.array.reshape(self.weight.shape)
            self.xp.matmul(left.T, right, out=whole)
            self.weight.gradient.fresh = False
            return
        step, whole = len(self.gradient), self.weight.diff
        for start in range(0, left.shape[1], step):
            part = left[:, start : start + step].T
            gradient = self.gradient[: len(part)]
            self.xp.matmul(part, right, out=gradient)
            whole[start : start + step] += gradient

    def _axis(self, bottom):
        axis = self.spec.inner_product_param.axis
        return self.axis(axis, bottom, "inner_product_param.axis")

    def _rows(self, array, like=None):
        """An array as a matrix; one row for each of `like`, else all axes but the last as rows."""
        rows = math.prod(array.shape[:-1]) if like is None else len(like)
        return array.reshape(rows, -1)

    def _inputs_first(self):
        """The weights as (K, num_output)."""
        return self.weight.data if self.gemm.transpose else self.weight.data.T
