"""Images resized by bilinear interpolation: the `Interp` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, scratch


@register("Interp")
class Interp(Layer):
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

    parameters = ("interp_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.interp_param
        sized = [name for name in ("height", "width") if p.HasField(name)]
        factors = [name for name in ("shrink_factor", "zoom_factor") if p.HasField(name)]
        if len(sized) == 1 or bool(sized) == bool(factors):
            found = " and ".join(sized + factors) or "nothing"
            self.reject(
                f"{found} says how large the top is",
                expected="height and width, or a zoom_factor, or a shrink_factor",
            )
        self.size = (p.height, p.width) if sized else None
        self.shrink, self.zoom = p.shrink_factor, p.zoom_factor
        for name in sized + factors:
            if getattr(p, name) < 1:
                self.reject(f"{name} is {getattr(p, name)}", expected="at least 1")
        for name in ("pad_beg", "pad_end"):
            if getattr(p, name) > 0:
                self.reject(
                    f"{name} is {getattr(p, name)}",
                    expected="0, or less: places to cut off",
                    field=f"interp_param.{name}",
                )
        self.cut = (-p.pad_beg, -p.pad_end)

    def top_shapes(self, bottom):
        if len(bottom) != 4 or 0 in bottom:
            self.reject(f"the bottom is {bottom}", expected="4 axes (N, C, H, W), none of them 0")
        left = [size - sum(self.cut) for size in bottom[2:]]
        if min(left) < 1:
            self.reject(
                f"pad_beg and pad_end cut {self.cut} off the bottom {bottom}",
                expected="at least 1 row and 1 column left",
            )
        scaled = tuple(((n - 1) // self.shrink) * self.zoom + 1 for n in left)
        return ((*bottom[:2], *(self.size or scaled)),)

    def buffers(self, bottom):
        (n, c, h, _), (_, _, height, width) = bottom, self.top_shapes(bottom)[0]
        return {
            "wide": scratch((n * c, h, width)),
            "turned": scratch((n * c, width, h)),
            "turned_top": scratch((n * c, width, height)),
        }

    def multiply_adds(self, bottom):
        (n, c, h, w), (_, _, height, width) = bottom, self.top_shapes(bottom)[0]
        return n * c * (h * w * width + h * width * height)

    def forward(self, bottom, top):
        xp, (rows, columns) = self.xp, self._matrices(bottom[0].shape, top[0].shape)
        x, y, wide = bottom[0].data, top[0].data, self.wide
        xp.matmul(_rows(x), columns.T, out=_rows(wide))
        self.turned[...] = wide.swapaxes(1, 2)
        xp.matmul(_rows(self.turned), rows.T, out=_rows(self.turned_top))
        y.reshape(-1, *y.shape[2:])[...] = self.turned_top.swapaxes(1, 2)

    def backward(self, top, wanted, bottom):
        xp, (rows, columns) = self.xp, self._matrices(bottom[0].shape, top[0].shape)
        dx, dy, wide = bottom[0].diff, top[0].diff, self.wide
        self.turned_top[...] = dy.reshape(-1, *dy.shape[2:]).swapaxes(1, 2)
        xp.matmul(_rows(self.turned_top), rows, out=_rows(self.turned))
        wide[...] = self.turned.swapaxes(1, 2)
        xp.matmul(_rows(wide), columns, out=_rows(dx))

    def _matrices(self, bottom, top):
        """A for the rows and for the columns, each (places of the top, places of the bottom)."""
        return [
            self.table(weights, size, out, self.cut, self.dtype)
            for size, out in zip(bottom[2:], top[2:], strict=True)
        ]


def _rows(array):
    """An array as a matrix of all its rows."""
    return array.reshape(-1, array.shape[-1])


def weights(size, out, cut, dtype):
    """A: what each of `out` places takes from each of `size`, `cut` off the ends not counted."""
    left = size - sum(cut)
    matrix = np.zeros((out, size), dtype)
    for o in range(out):
        u = o * (left - 1) / (out - 1) if out > 1 else 0.0
        i = min(math.floor(u), left - 1)
        matrix[o, cut[0] + i] += 1 - (u - i)
        if u > i:
            matrix[o, cut[0] + i + 1] += u - i
    return matrix
