"""Images resized by bilinear interpolation from their first corner: the `Resize` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register
from minidl.layers.resampling import Resampling


@register("Resize")
class Resize(Resampling):
    r"""Resize images by bilinear interpolation, with the first corners of both on one another.

    Along an axis of n places that becomes one of m, place o lies at u = o * n / m of the bottom, so
    with i = floor(u) and f = u - i,

        A[o, i] = 1 - f         A[o, i + 1] = f, where that is a place         0 elsewhere

    and with one such matrix for the rows and one for the columns of each channel,

        y = A_rows x A_columns'         dx = A_rows' dy A_columns

    So an enlarged image fades at its last rows and columns. Interp has the corners on one another.

    bottom[0]      (N, C, H, W)
    top[0]         (N, C, height, width)
    resize_param   height and width; or with is_pyramid_test out_height_scale and out_width_scale,
                   factors on those of the bottom, the product rounded down

    Source: xiaolonw/caffe-3dnormal_joint_pose (resize_layer.cpp, util_img.cpp).
    """

    fork = "xiaolonw/caffe-3dnormal_joint_pose"
    parameters = ("resize_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.resize_param
        self.scaled = p.is_pyramid_test
        names = ("height", "width")
        if self.scaled:
            names = ("out_height_scale", "out_width_scale")
        self.factors = tuple(getattr(p, name) for name in names)
        for name, value in zip(names, self.factors, strict=True):
            if not 0 < value < math.inf:
                self.reject_field(f"resize_param.{name}", expected="a number above 0")

    def top_shapes(self, bottom):
        self.check_images(bottom)
        size = self.factors
        if self.scaled:
            size = tuple(int(f * n) for f, n in zip(size, bottom[2:], strict=True))
        if min(size) < 1:
            self.reject(f"the bottom {bottom} becomes {size[0]} x {size[1]}")
        return ((*bottom[:2], *size),)

    def matrix(self, size, out):
        return self.table(weights, size, out, self.dtype)


def weights(size, out, dtype):
    """Return A: the share of each of `size` places in each of `out`."""
    matrix = np.zeros((out, size), dtype)
    for o in range(out):
        i, rest = divmod(o * size, out)  # place o lies at o * size / out
        matrix[o, i] = 1 - rest / out
        if i + 1 < size:  # beyond the border there is nothing to mix in
            matrix[o, i + 1] = rest / out
    return matrix
