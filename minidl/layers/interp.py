"""Images resized by bilinear interpolation: the `Interp` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register
from minidl.layers.resampling import Resampling


@register("Interp")
class Interp(Resampling):
    r"""Resize images by bilinear interpolation, with the corners of both on one another.

    Along an axis of n places that becomes one of m, place o lies at u = o * (n - 1) / (m - 1) of
    the bottom (at 0 where m is 1), so with i = floor(u) and f = u - i,

        A[o, i] = 1 - f         A[o, i + 1] = f         0 elsewhere

    and with one such matrix for the rows and one for the columns of each channel,

        y = A_rows x A_columns'         dx = A_rows' dy A_columns

    bottom[0]       (N, C, H, W)
    top[0]          (N, C, height, width)
    interp_param    height and width; or shrink_factor s and then zoom_factor z, by which n becomes
                    ((n - 1) // s + 1 - 1) * z + 1; or one of the two. pad_beg, pad_end (0): at
                    most 0, what is cut off the bottom before

    Source: Chen et al. 2015 (DeepLab), their fork of Caffe; Zhao et al. 2017 (PSPNet) has the same
    layer.
    """

    fork = "DeepLab; PSPNet has the same"
    parameters = ("interp_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.interp_param
        sized = [name for name in ("height", "width") if p.HasField(name)]
        factors = [name for name in ("shrink_factor", "zoom_factor") if p.HasField(name)]
        if len(sized) == 1 or bool(sized) == bool(factors):
            found = " and ".join(sized + factors) or "nothing"
            self.reject(
                f"{found} gives the size of the top",
                expected="height and width, or a zoom_factor, or a shrink_factor",
            )
        self.size = (p.height, p.width) if sized else None
        self.shrink, self.zoom = p.shrink_factor, p.zoom_factor
        self.check_positive("interp_param", *sized, *factors)
        for name in ("pad_beg", "pad_end"):
            if getattr(p, name) > 0:
                self.reject_field(f"interp_param.{name}", expected="0, or less: places to cut off")
        self.cut = (-p.pad_beg, -p.pad_end)

    def top_shapes(self, bottom):
        self.check_images(bottom)
        left = [size - sum(self.cut) for size in bottom[2:]]
        if min(left) < 1:
            self.reject(
                f"pad_beg and pad_end cut {self.cut} off the bottom {bottom}",
                expected="at least 1 row and 1 column left",
            )
        # The gaps between places are scaled, so that corners stay corners.
        scaled = tuple(((n - 1) // self.shrink) * self.zoom + 1 for n in left)
        return ((*bottom[:2], *(self.size or scaled)),)

    def matrix(self, size, out):
        return self.table(weights, size, out, self.cut, self.dtype)


def weights(size, out, cut, dtype):
    """Return A: the share of each of `size` places in each of `out`, `cut` at the ends not
    counted."""
    left = size - sum(cut)
    matrix = np.zeros((out, size), dtype)
    for o in range(out):
        u = o * (left - 1) / (out - 1) if out > 1 else 0.0  # where place o lies in the bottom
        i = min(math.floor(u), left - 1)
        matrix[o, cut[0] + i] += 1 - (u - i)  # the nearer of two places counts for more
        if u > i:
            matrix[o, cut[0] + i + 1] += u - i
    return matrix
