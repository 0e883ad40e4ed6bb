"""Activations made of exponentials: the `ELU`, `BNLL` and `Swish` layers."""

from __future__ import annotations

import numpy as np

from minidl.layers.activation import Pieces
from minidl.layers.base import register, saved, scratch


@register("ELU")
class ELU(Pieces):
    """Pass what is positive; let the rest saturate at -alpha.

        y = x    where x > 0,   alpha * (exp(x) - 1)   elsewhere
        dx = dy  where x > 0,   dy * (y + alpha)       elsewhere (at x = 0 too)

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself if alpha is not below 0
    elu_param   alpha (1)

    With an alpha of 0 or more, y > 0 exactly where x > 0, so backward looks at the top alone.

    Source: Clevert, Unterthiner & Hochreiter 2016, section 3.
    """

    parameters = ("elu_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.alpha = spec.elu_param.alpha
        self.in_place = self.keeps_sign = self.alpha >= 0
        self.keeps = ("top",) if self.alpha >= 0 else ("bottom", "top")
        if self.is_in_place and not self.in_place:
            self.reject(
                f"alpha is {self.alpha:g}, and the layer works in place on '{spec.top[0]}': "
                "the sign of x, which the gradient needs, would be lost",
                fix="give the top a name of its own, or use an alpha of at least 0",
                field="elu_param.alpha",
            )

    def buffers(self, bottom):
        piece = self._piece(bottom)
        return {"part": scratch(piece), "chosen": scratch(piece, np.bool_)}

    def forward(self, bottom, top):
        xp = self.xp
        for x, y in self._pieces(bottom[0].data, top[0].data):
            negative = self.part[: len(x)]
            xp.minimum(x, 0, out=negative)
            xp.expm1(negative, out=negative)  # exp(x) - 1 would lose its digits near 0
            negative *= self.alpha
            xp.maximum(x, 0, out=y)
            y += negative

    def backward(self, top, wanted, bottom):
        xp = self.xp
        # With alpha >= 0 the top has the sign of x.
        signed = (bottom if "bottom" in self.keeps else top)[0].data
        for x, y, dy, dx in self._pieces(signed, top[0].data, top[0].diff, bottom[0].diff):
            slope, chosen = self.part[: len(x)], self.chosen[: len(x)]
            xp.add(y, self.alpha, out=slope)  # alpha * exp(x), the slope where x <= 0
            xp.less_equal(x, 0, out=chosen)
            slope *= chosen
            xp.greater(x, 0, out=chosen)
            slope += chosen
            xp.multiply(dy, slope, out=dx)


@register("BNLL")
class BNLL(Pieces):
    """Bend smoothly from 0 to x: the softplus, Caffe's "binomial normal log likelihood".

        y = log(1 + exp(x))
        dx = dy / (1 + exp(-x)) = dy * (1 - exp(-y))

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself

    It has no parameters. Computed as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow. The
    gradient is taken from y, so it is right in place as well; Caffe takes it from x, and in place
    is wrong without a word.

    Source: Nair & Hinton 2010, section 2; softplus: Dugas et al. 2001.
    """

    keeps = ("top",)

    def buffers(self, bottom):
        return {"part": scratch(self._piece(bottom))}

    def forward(self, bottom, top):
        xp = self.xp
        for x, y in self._pieces(bottom[0].data, top[0].data):
            excess = self.part[: len(x)]  # y - max(x, 0)
            # log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), where nothing can overflow.
            xp.abs(x, out=excess)
            xp.negative(excess, out=excess)
            xp.exp(excess, out=excess)
            xp.log1p(excess, out=excess)
            xp.maximum(x, 0, out=y)
            y += excess

    def backward(self, top, wanted, bottom):
        xp = self.xp
        for y, dy, dx in self._pieces(top[0].data, top[0].diff, bottom[0].diff):
            slope = self.part[: len(y)]
            # 1 - exp(-y) is the sigmoid of x, found without x.
            xp.negative(y, out=slope)
            xp.expm1(slope, out=slope)
            xp.negative(slope, out=slope)
            xp.multiply(dy, slope, out=dx)


@register("Swish")
class Swish(Pieces):
    """Gate every number by a sigmoid of itself.

        g = 1 / (1 + exp(-beta * x))
        y = x * g
        dx = dy * (beta * y + g * (1 - beta * y))

    bottom[0]     any shape
    top[0]        the same shape; may be the bottom itself
    swish_param   beta (1): 0 halves every number, a large one makes a ReLU

    Source: Ramachandran, Zoph & Le 2017, section 3; for beta 1: Elfwing, Uchibe & Doya 2017.
    """

    parameters = ("swish_param",)
    keeps = ("top",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.beta = spec.swish_param.beta

    def buffers(self, bottom):
        # Not computed again from x, which is gone in place and cannot be had from y.
        return {"gate": saved(bottom), "part": scratch(self._piece(bottom))}

    def forward(self, bottom, top):
        for x, y, g in self._pieces(bottom[0].data, top[0].data, self.gate):
            # A tanh, as in Sigmoid, because it cannot overflow.
            self.xp.multiply(x, self.beta / 2, out=g)
            self.xp.tanh(g, out=g)
            g *= 0.5
            g += 0.5
            self.xp.multiply(x, g, out=y)

    def backward(self, top, wanted, bottom):
        arrays = top[0].data, self.gate, top[0].diff, bottom[0].diff
        for y, g, dy, dx in self._pieces(*arrays):
            slope = self.part[: len(y)]
            # beta * y * (1 - g) + g: the same, regrouped
            self.xp.subtract(1, g, out=slope)
            slope *= y
            slope *= self.beta
            slope += g
            self.xp.multiply(dy, slope, out=dx)
