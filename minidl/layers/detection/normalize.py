"""Features of length 1, times a learned scale: the `Normalize` layer."""

from __future__ import annotations

import math

from minidl import schema
from minidl.layers.base import Count, Layer, register, saved, scratch
from minidl.layers.folding import fold, middle_dot

EPS = 1e-6  # of caffe-windows


@register("Normalize")
class Normalize(Layer):
    r"""Bring each pixel's channels, or each whole image, to length 1; then scale it as was learned.

    With sums over the channels of a pixel, or over an image with `across_spatial`,

        r  = sqrt(sum(x**2) + eps)
        y  = s * x / r

    and backward, with g = s * dy,

        dx = (g - x * sum(x * g) / r**2) / r            ds = sum(dy * x / r)

    the last sum over all that the scale was applied to.

    bottom[0]     (N, C, ...)
    top[0]        the same shape
    scale         s: (C), or () with channel_shared
    norm_param    across_spatial (true), channel_shared (true), scale_filler (1), eps (1e-10)

    With a normalize_param it is another fork's layer of this name: pixels, no scale, and

        L2:  y = x / r,  r = sqrt(sum(x**2) + 1e-6)
        L1:  y = x / r,  r = sum(|x|) + 1e-6,      dx = (dy - sign(x) * sum(y * dy)) / r

    top[1]        optional: r, (N, 1, ...); its gradient counts with bp_norm alone
    normalize_param   normalize_type: L2 (default) or L1; bp_norm (false); fix_gradient is not read,
                  as in its fork

    Source: Liu, Rabinovich & Berg 2015 (ParseNet), section 3.3; as in SSD's branch of Caffe.
    normalize_param: happynear/caffe-windows.
    """

    family = "norm"
    fork = "weiliu89/caffe, branch ssd"
    keeps_positions = True
    parameters = ("norm_param", "normalize_param")
    tops: Count = (1, 2)
    keeps: tuple[str, ...] = ("bottom",)

    def __new__(cls, spec, ctx):
        return super().__new__(NormalizePixels if spec.HasField("normalize_param") else cls)

    def __init__(self, spec, ctx):
        self.tops = 1
        super().__init__(spec, ctx)
        p = spec.norm_param
        self.across_spatial, self.channel_shared = p.across_spatial, p.channel_shared
        self.eps = p.eps
        if not (self.eps >= 0 and math.isfinite(self.eps)):
            self.reject_field("norm_param.eps", expected="a finite number >= 0")
        one = schema.FillerParameter(type="constant", value=1)
        self.fillers["scale"] = p.scale_filler if p.HasField("scale_filler") else one

    def top_shapes(self, bottom):
        if len(bottom) < 2 or 0 in bottom:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...), not empty")
        return (bottom,)

    def param_shapes(self, bottom):
        return {"scale": () if self.channel_shared else (bottom[1],)}

    def buffers(self, bottom):
        three = n, c, inner = fold(bottom, 1)
        sums = (n, 1, 1 if self.across_spatial else inner)
        return {
            "length": saved(sums),
            "sums": scratch(sums),
            "part": scratch(three),
            "unit": scratch(three),
            "by_channel": scratch((c,)),
            "gradient": scratch(()),
        }

    def multiply_adds(self, bottom):
        return 2 * math.prod(bottom)

    def forward(self, bottom, top):
        xp, r, square = self.xp, self.length, self.part
        x, y = (array.reshape(square.shape) for array in (bottom[0].data, top[0].data))
        xp.square(x, out=square)
        self._sum(square, out=r)
        r += self.eps
        xp.sqrt(r, out=r)
        xp.divide(x, r, out=y)
        y *= self.scale.data.reshape(-1, 1)

    def backward(self, top, wanted, bottom):
        xp, r, part, unit = self.xp, self.length, self.part, self.unit
        x, dx, dy = (a.reshape(part.shape) for a in (bottom[0].data, bottom[0].diff, top[0].diff))
        xp.divide(x, r, out=unit)
        if self.scale.wanted:
            middle_dot(xp, dy, unit, out=self.by_channel, product=part)
            self._add_to_scale()
        if wanted[0]:
            xp.multiply(dy, self.scale.data.reshape(-1, 1), out=dx)
            xp.multiply(unit, dx, out=part)
            self._sum(part, out=self.sums)
            unit *= self.sums
            dx -= unit
            dx /= r

    def _sum(self, values, out):
        """Sum over what is brought to length 1."""
        axes = (1, 2) if self.across_spatial else 1
        self.xp.sum(values, axis=axes, keepdims=True, out=out)

    def _add_to_scale(self):
        if self.channel_shared:
            self.xp.sum(self.by_channel, out=self.gradient)
            self.scale.diff += self.gradient
        else:
            self.scale.diff += self.by_channel


class NormalizePixels(Normalize):
    """The layer with a normalize_param."""

    keeps = ("bottom", "top")

    def __init__(self, spec, ctx):
        Layer.__init__(self, spec, ctx)
        p = spec.normalize_param
        if spec.HasField("norm_param"):
            self.reject("has both norm_param and normalize_param, which are two forks'")
        if p.normalize_type not in ("L1", "L2"):
            self.reject_field("normalize_param.normalize_type", expected="L2 or L1")
        self.is_square, self.returns_length = p.normalize_type == "L2", p.bp_norm

    def top_shapes(self, bottom):
        super().top_shapes(bottom)
        return (bottom, (bottom[0], 1, *bottom[2:]))[: len(self.spec.top)]

    def param_shapes(self, bottom):
        return {}

    def buffers(self, bottom):
        n, _, inner = three = fold(bottom, 1)
        return {
            "length": saved((n, 1, inner)),
            "sums": scratch((n, 1, inner)),
            "part": scratch(three),
        }

    def forward(self, bottom, top):
        xp, r, part = self.xp, self.length, self.part
        x, y = (array.reshape(part.shape) for array in (bottom[0].data, top[0].data))
        (xp.square if self.is_square else xp.absolute)(x, out=part)
        xp.sum(part, axis=1, keepdims=True, out=r)
        r += EPS
        if self.is_square:
            xp.sqrt(r, out=r)
        xp.divide(x, r, out=y)
        if len(top) > 1:
            top[1].data[...] = r.reshape(top[1].shape)

    def backward(self, top, wanted, bottom):
        xp, r, part, sums = self.xp, self.length, self.part, self.sums
        y, dy, dx = (a.reshape(part.shape) for a in (top[0].data, top[0].diff, bottom[0].diff))
        xp.multiply(y, dy, out=part)
        xp.sum(part, axis=1, keepdims=True, out=sums)
        sums /= r
        if len(top) > 1 and self.returns_length:
            xp.subtract(sums, top[1].diff.reshape(r.shape), out=sums)
        x = bottom[0].data.reshape(part.shape)
        if self.is_square:
            part[...] = y
        else:
            xp.sign(x, out=part)
        # dx = dy / r - sum(dy * y) / r * (y, or the sign of x for L1).
        part *= sums
        xp.divide(dy, r, out=dx)
        dx -= part
