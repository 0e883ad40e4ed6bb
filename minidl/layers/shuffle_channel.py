"""Channels of groups mixed: the `ShuffleChannel` layer."""

from __future__ import annotations

import math

from minidl.layers.base import Layer, register


@register("ShuffleChannel")
class ShuffleChannel(Layer):
    """Mix the channels of groups, so that the next grouped convolution sees some of each.

    With C channels in `group` g blocks of k = C / g,

        y[n, j * g + i] = x[n, i * k + j]           for i < g, j < k
        dx[n, i * k + j] = dy[n, j * g + i]

    bottom[0]               (N, C, ...)
    top[0]                  the same shape
    shuffle_channel_param   group (1), by which C can be divided

    Source: Zhang et al. 2018 (ShuffleNet), section 3.1; the fork of farmingyard.
    """

    family = "shape"
    fork = "farmingyard/ShuffleNet"
    parameters = ("shuffle_channel_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.check_positive("shuffle_channel_param", "group")
        self.group = spec.shuffle_channel_param.group

    def top_shapes(self, bottom):
        if len(bottom) < 2:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...)")
        if bottom[1] % self.group:
            self.reject(
                f"group is {self.group}, but the bottom {bottom} has {bottom[1]} channels",
                expected="channels a multiple of group",
                field="shuffle_channel_param.group",
            )
        return (bottom,)

    def forward(self, bottom, top):
        x, y = self._blocks(bottom[0].data, top[0].data)
        y[...] = x.swapaxes(1, 2)  # channel j of group i becomes channel i of group j

    def backward(self, top, wanted, bottom):
        dx, dy = self._blocks(bottom[0].diff, top[0].diff)
        dx.swapaxes(1, 2)[...] = dy  # the same view, written instead of read

    def _blocks(self, x, y):
        """Bottom and top as (N, g, k, inner) and (N, k, g, inner)."""
        n, c, *rest = x.shape
        g, k, inner = self.group, c // self.group, math.prod(rest)
        return x.reshape(n, g, k, inner), y.reshape(n, k, g, inner)
