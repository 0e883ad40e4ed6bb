"""Images mirrored: the `Flip` layer."""

from __future__ import annotations

from minidl.layers.base import Layer, register


@register("Flip")
class Flip(Layer):
    """Mirror images, left to right, top to bottom, or both.

        y[n, c, i, j] = x[n, c, i or H - 1 - i, j or W - 1 - j]
        dx = dy, mirrored back

    bottom[0]    (N, C, H, W)
    top[0]       the same shape
    flip_param   flip_width (true), flip_height (false)

    Source: the forks of Caffe that have this type.
    """

    family = "shape"
    fork = "several"
    parameters = ("flip_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.flip_param
        there, back = slice(None), slice(None, None, -1)
        self.index = (..., back if p.flip_height else there, back if p.flip_width else there)

    def top_shapes(self, bottom):
        if len(bottom) != 4:
            self.reject(
                f"the bottom has the shape {bottom}", expected="a 4-dimensional bottom (N, C, H, W)"
            )
        return (bottom,)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data[self.index]

    def backward(self, top, wanted, bottom):
        bottom[0].diff[...] = top[0].diff[self.index]  # mirrored once more: back where it came from
