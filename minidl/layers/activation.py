"""Activations, one number at a time: the `ReLU`, `Sigmoid` and `TanH` layers."""

import math

import numpy as np

from minidl import ops
from minidl.layers.base import Layer, register, scratch
from minidl.layers.folding import views


class Pieces(Layer):
    """Base of activations: any shape, one bottom, one top, in place if asked.

    The work is done piece by piece, so that on the CPU all the passes over one stay in cache.
    """

    family = "activation"
    keeps_positions = True
    in_place = True

    def top_shapes(self, bottom):
        return (bottom,)

    def _piece(self, shape):
        """The shape of a scratch array for one piece."""
        return (min(self.ctx.device.piece, math.prod(shape)),)

    def _pieces(self, *arrays):
        """Arrays of one shape, cut into the same flat pieces; scratch arrays (of one piece) serve
        each of them in turn."""
        size, piece = arrays[0].size, self.ctx.device.piece
        for start in range(0, size, piece):
            part = slice(start, min(start + piece, size))
            yield views(lambda array, part=part: array.reshape(-1)[part], *arrays)


class Activation(Pieces):
    """An activation that engines have, too."""

    computes = (ops.Activation,)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.p = getattr(spec, self.parameters[0])
        self.check_engine(self.p)


@register("ReLU")
class ReLU(Activation):
    """Pass what is positive, multiply the rest by `negative_slope`.

        y = x   where x > 0,   negative_slope * x   elsewhere
        dx = dy where x > 0,   negative_slope * dy  elsewhere (at x = 0 too)

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself if negative_slope is not below 0

    With a slope of 0 or more, y > 0 exactly where x > 0, so backward looks at the top and the
    bottom may be overwritten. With a negative slope y is never below 0 and says nothing of x.

    relu_param  negative_slope (0)
                engine (CAFFE: this code; MKLDNN: oneDNN; CUDNN: cuDNN, on a GPU)

    Source: Nair & Hinton 2010; with a slope: Maas, Hannun & Ng 2013, section 2.
    """

    parameters = ("relu_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.negative_slope = self.p.negative_slope
        # With a negative slope y does not have the sign of x, so that backward needs x itself.
        self.in_place = self.keeps_sign = self.negative_slope >= 0
        self.keeps = ("top sign",) if self.negative_slope >= 0 else ("bottom",)
        self.op = ops.Activation("relu", self.negative_slope)
        if self.is_in_place and not self.in_place:
            self.reject(
                f"negative_slope is {self.negative_slope:g}, and the layer works in place on "
                f"'{spec.top[0]}': the sign of x, which the gradient needs, would be lost",
                fix="give the top a name of its own, or use a slope of at least 0",
                field="relu_param.negative_slope",
            )

    def buffers(self, bottom):
        piece = self._piece(bottom)
        needed = {"positive": scratch(piece, np.bool_)}
        if self.negative_slope != 0:
            needed["ratio"] = scratch(piece)
        return needed

    def forward(self, bottom, top):
        xp, slope = self.xp, self.negative_slope
        if slope == 0:
            # What maximum(x, 0) gives, in half the time: NumPy has no fast loop for that.
            xp.clip(bottom[0].data, 0, math.inf, out=top[0].data)
            return
        for x, y in self._pieces(bottom[0].data, top[0].data):
            ratio = self.ratio[: len(x)]
            xp.multiply(x, slope, out=ratio)
            # Up to a slope of 1 the line x lies above slope * x where x > 0, and below it
            # elsewhere.
            (xp.maximum if slope <= 1 else xp.minimum)(x, ratio, out=y)

    def backward(self, top, wanted, bottom):
        xp, slope = self.xp, self.negative_slope
        signed = (top if "top sign" in self.keeps else bottom)[0].data
        for x, dy, dx in self._pieces(signed, top[0].diff, bottom[0].diff):
            positive = self.positive[: len(x)]
            xp.greater(x, 0, out=positive)
            if slope == 0:
                xp.multiply(dy, positive, out=dx)
                continue
            ratio = self.ratio[: len(x)]  # dy / dx: 1 or the slope
            xp.less_equal(x, 0, out=ratio)  # 1 where the slope counts
            ratio *= slope
            ratio += positive
            xp.multiply(dy, ratio, out=dx)


@register("Sigmoid")
class Sigmoid(Activation):
    """Squash every number into (0, 1).

        y = 1 / (1 + exp(-x))
        dx = dy * y * (1 - y)

    bottom[0]       any shape
    top[0]          the same shape; may be the bottom itself
    sigmoid_param   engine (CAFFE: this code; MKLDNN: oneDNN; CUDNN: cuDNN, on a GPU)

    Computed as tanh(x / 2) / 2 + 1/2, which is the same function and cannot overflow.

    Source: Rumelhart, Hinton & Williams 1986, equation 2.
    """

    parameters = ("sigmoid_param",)
    keeps = ("top",)
    op = ops.Activation("sigmoid")

    def buffers(self, bottom):
        return {"slope": scratch(self._piece(bottom))}

    def forward(self, bottom, top):
        for x, y in self._pieces(bottom[0].data, top[0].data):
            # (1 + tanh(x / 2)) / 2 is the same as 1 / (1 + exp(-x)), and cannot overflow.
            self.xp.multiply(x, 0.5, out=y)
            self.xp.tanh(y, out=y)
            y *= 0.5
            y += 0.5

    def backward(self, top, wanted, bottom):
        for y, dy, dx in self._pieces(top[0].data, top[0].diff, bottom[0].diff):
            slope = self.slope[: len(y)]
            self.xp.subtract(1, y, out=slope)
            slope *= y  # y * (1 - y)
            self.xp.multiply(dy, slope, out=dx)


@register("TanH")
class TanH(Activation):
    """Squash every number into (-1, 1).

        y = tanh(x)
        dx = dy * (1 - y**2)

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself
    tanh_param  engine (CAFFE: this code; MKLDNN: oneDNN; CUDNN: cuDNN, on a GPU)

    Source: LeCun, Bottou, Orr & Mueller 1998, section 4.4.
    """

    parameters = ("tanh_param",)
    keeps = ("top",)
    op = ops.Activation("tanh")

    def buffers(self, bottom):
        return {"slope": scratch(self._piece(bottom))}

    def forward(self, bottom, top):
        self.xp.tanh(bottom[0].data, out=top[0].data)

    def backward(self, top, wanted, bottom):
        for y, dy, dx in self._pieces(top[0].data, top[0].diff, bottom[0].diff):
            slope = self.slope[: len(y)]
            self.xp.square(y, out=slope)
            self.xp.subtract(1, slope, out=slope)  # 1 - y**2
            self.xp.multiply(dy, slope, out=dx)
