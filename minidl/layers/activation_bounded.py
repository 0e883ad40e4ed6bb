"""Activations made of straight pieces and bounds: the `ReLU6` and `HardSwish` layers."""

from __future__ import annotations

import numpy as np

from minidl.layers.activation import Pieces
from minidl.layers.base import register, scratch


@register("ReLU6")
class ReLU6(Pieces):
    """Pass what lies between 0 and 6, and bound the rest.

        y = min(max(x, 0), 6)
        dx = dy where 0 < x < 6, 0 elsewhere

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself

    It has no parameters.

    Source: Krizhevsky 2010 (Convolutional deep belief networks on CIFAR-10); in MobileNets since
    Howard et al. 2017. The layer type is that of several forks for MobileNet.
    """

    fork = "several, all the same"
    keeps = ("top",)
    keeps_sign = True
    limit = 6

    def buffers(self, bottom):
        piece = self._piece(bottom)
        return {"inside": scratch(piece, np.bool_), "below": scratch(piece, np.bool_)}

    def forward(self, bottom, top):
        self.xp.clip(bottom[0].data, 0, self.limit, out=top[0].data)

    def backward(self, top, wanted, bottom):
        xp = self.xp
        for y, dy, dx in self._pieces(top[0].data, top[0].diff, bottom[0].diff):
            inside, below = self.inside[: len(y)], self.below[: len(y)]
            xp.greater(y, 0, out=inside)
            xp.less(y, self.limit, out=below)
            xp.logical_and(inside, below, out=inside)
            xp.multiply(dy, inside, out=dx)  # dy where 0 < y < limit, else 0


@register("HardSwish")
class HardSwish(Pieces):
    """Swish with a sigmoid of three straight pieces.

        y = x * min(max(x + 3, 0), 6) / 6
        dx = dy * (0 where x <= -3, 1 where x >= 3, (2 x + 3) / 6 between)

    bottom[0]   any shape
    top[0]      the same shape; not the bottom itself where a gradient is needed, which reads x

    It has no parameters.

    Source: Howard et al. 2019 (MobileNetV3), section 5.2.
    """

    fork = "several, all the same"
    keeps = ("bottom",)

    def buffers(self, bottom):
        piece = self._piece(bottom)
        return {"gate": scratch(piece), "ramp": scratch(piece), "between": scratch(piece, np.bool_)}

    def forward(self, bottom, top):
        for x, y in self._pieces(bottom[0].data, top[0].data):
            gate = self._gate(x)
            self.xp.multiply(x, gate, out=y)

    def backward(self, top, wanted, bottom):
        xp = self.xp
        for x, dy, dx in self._pieces(bottom[0].data, top[0].diff, bottom[0].diff):
            slope, ramp, between = self._gate(x), self.ramp[: len(x)], self.between[: len(x)]
            xp.absolute(x, out=ramp)
            xp.less(ramp, 3, out=between)  # where the gate is not flat: its slope is 1 / 6
            xp.multiply(x, between, out=ramp)
            ramp /= 6
            slope += ramp  # gate + x * the gate's slope
            xp.multiply(dy, slope, out=dx)

    def _gate(self, x):
        """min(max(x + 3, 0), 6) / 6"""
        gate = self.gate[: len(x)]
        self.xp.add(x, 3, out=gate)
        self.xp.clip(gate, 0, 6, out=gate)
        gate /= 6
        return gate
