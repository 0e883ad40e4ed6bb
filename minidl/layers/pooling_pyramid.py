"""Pooling to a fixed number of bins, at several sizes: the `SPP` layer."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np

from minidl import schema
from minidl.layers.base import Layer, register, scratch
from minidl.layers.pooling import Pooling


@register("SPP")
class SPP(Layer):
    r"""Pool a map of any size to as many values: level i of a pyramid has 2**i x 2**i bins.

    Each level is a Pooling of its own, with windows that lie side by side. For b bins along an axis
    of a bottom of that size,

        kernel = stride = size / b rounded up
        pad = (kernel * b - size) / 2 rounded up, which has to be less than the kernel

        y  = [level 0, level 1, ...], each (N, C * bins) flattened
        dx = the sum of the levels' own dx

    bottom[0]   (N, C, H, W)
    top[0]      (N, C * (1 + 4 + 16 + ...)); of a single level (N, C, 1, 1), as Pooling gives it

    spp_param
        pyramid_height      levels, 1 or more
        pool                MAX (default), AVE or STOCHASTIC, as for Pooling; the last without
                            padding
        engine              CAFFE: this code, which is all there is

    Source: He, Zhang, Ren & Sun 2014, section 2.2; the windows are Caffe's.
    """

    parameters = ("spp_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.spp_param
        self.height = p.pyramid_height
        if self.height == 0:
            self.reject("pyramid_height is 0 or missing", expected="levels, 1 or more")
        self.check_engine(p)
        self.stochastic = p.pool == p.STOCHASTIC
        if self.stochastic and not ctx.training:
            self.keeps = ("bottom",)
        self._levels = functools.lru_cache(maxsize=4)(self._make_levels)

    def top_shapes(self, bottom):
        if len(bottom) != 4 or 0 in bottom:
            self.reject(f"the bottom is {bottom}", expected="4 axes (N, C, H, W), none of them 0")
        self._levels(bottom)
        if self.height == 1:
            return ((*bottom[:2], 1, 1),)
        return ((bottom[0], bottom[1] * sum(4**i for i in range(self.height))),)

    def buffers(self, bottom):
        buffers = {}
        if self.height > 1:
            buffers["share"] = scratch(bottom)  # of dx: one level's
        for i, level in enumerate(self._levels(bottom)):
            buffers[f"level{i}"] = scratch(level.top_shapes(bottom)[0])
            for name, buffer in level.buffers(bottom).items():
                buffers[f"level{i}_{name}"] = buffer
        return buffers

    def sample_bottoms(self, shapes, rng):
        values = super().sample_bottoms(shapes, rng)
        return [np.abs(x) for x in values] if self.stochastic else values

    def forward(self, bottom, top):
        for level, pooled, part in self._parts(bottom[0].shape, top[0].data):
            level.forward(bottom, [SimpleNamespace(data=pooled)])
            part[...] = pooled.reshape(part.shape)

    def backward(self, top, wanted, bottom):
        x, dx = bottom[0].data, bottom[0].diff
        for i, (level, pooled, part) in enumerate(self._parts(bottom[0].shape, top[0].diff)):
            pooled.reshape(part.shape)[...] = part
            share = self.share if i else dx
            below = SimpleNamespace(data=x, diff=share, shape=x.shape)
            level.backward([SimpleNamespace(diff=pooled)], wanted, [below])
            if i:
                dx += share

    def _make_levels(self, bottom):
        return [self._make_level(i, bottom[2:]) for i in range(self.height)]

    def _make_level(self, i, size):
        """The Pooling layer with 2**i x 2**i bins."""
        bins = 2**i
        kernel = [-(-extent // bins) for extent in size]
        pad = [(k * bins - extent + 1) // 2 for k, extent in zip(kernel, size, strict=True)]
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            self.reject(
                f"level {i} of pyramid_height {self.height} has {bins} x {bins} bins, too many "
                f"for a bottom of {size[0]} x {size[1]}: some would lie on padding alone",
                fix=f"set pyramid_height to {i}, or enlarge the bottom",
                field="spp_param.pyramid_height",
            )
        if self.stochastic and any(pad):
            self.reject(
                f"a bottom of {size[0]} x {size[1]} has to be padded for {bins} x {bins} bins, "
                "and STOCHASTIC pooling takes no padding",
                expected=f"height and width that {bins} divides",
                field="spp_param.pool",
            )
        # Named, so that every level draws its own random numbers.
        spec = schema.LayerParameter(name=f"{self.name}/level{i}", type="Pooling")
        spec.bottom.append("x")
        spec.top.append("y")
        spec.pooling_param.pool = self.spec.spp_param.pool
        (spec.pooling_param.kernel_h, spec.pooling_param.kernel_w) = kernel
        (spec.pooling_param.stride_h, spec.pooling_param.stride_w) = kernel
        (spec.pooling_param.pad_h, spec.pooling_param.pad_w) = pad
        return Pooling(spec, self.ctx)

    def _parts(self, bottom, whole):
        """Each level with its buffers, an array for what it pools, and its part of the top."""
        rows, start = whole.reshape(bottom[0], -1), 0
        for i, level in enumerate(self._levels(bottom)):
            for name in level.buffers(bottom):
                setattr(level, name, getattr(self, f"level{i}_{name}"))
            pooled = getattr(self, f"level{i}")
            end = start + pooled.size // bottom[0]
            yield level, pooled, rows[:, start:end]
            start = end
