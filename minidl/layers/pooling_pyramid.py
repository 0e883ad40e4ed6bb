"""Pooling at several sizes, side by side: the `SPP` and `SpatialPyramidPooling` layers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np

from minidl import schema
from minidl.arrays.method_cache import method_cache
from minidl.layers.base import Layer, register, scratch
from minidl.layers.pooling import Pooling


class Pyramid(Layer):
    """Poolings of one bottom, each flattened, one after the other in the top.

    A subclass sets `kind`, a PoolMethod, and `levels`, how many there are, calls `begin`, and says
    the windows of each level in `windows`.
    """

    family = "pooling"
    kind: int
    levels: int

    def begin(self):
        self.stochastic = self.kind == schema.PoolingParameter.STOCHASTIC
        if self.stochastic and not self.ctx.training:
            self.keeps = ("bottom",)
        self._poolings = method_cache(self._make_poolings, 4)

    def windows(self, level, size):
        """Return kernel, stride and pad of a level, each (rows, columns), for a bottom of this
        size."""
        raise NotImplementedError

    def top_shapes(self, bottom):
        self.check_images(bottom)
        pooled = [level.top_shapes(bottom)[0] for level in self._poolings(bottom)]
        if len(pooled) == 1:
            return (pooled[0],)
        return ((bottom[0], sum(math.prod(shape[1:]) for shape in pooled)),)

    def buffers(self, bottom):
        buffers = {}
        if self.levels > 1:
            buffers["share"] = scratch(bottom)  # of dx: one level's
        for i, level in enumerate(self._poolings(bottom)):
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
            if i:  # the first level has written dx itself
                dx += share

    def _make_poolings(self, bottom):
        return [self._make_pooling(i, bottom[2:]) for i in range(self.levels)]

    def _make_pooling(self, i, size):
        # Named, so that every level draws its own random numbers.
        spec = schema.LayerParameter(name=f"{self.name}/level{i}", type="Pooling")
        spec.bottom.append("x")
        spec.top.append("y")
        p, (kernel, stride, pad) = spec.pooling_param, self.windows(i, size)
        p.pool = self.kind
        p.kernel_h, p.kernel_w = kernel
        p.stride_h, p.stride_w = stride
        p.pad_h, p.pad_w = pad
        return Pooling(spec, self.ctx)

    def _parts(self, bottom, whole):
        """Yield each level with its buffers, an array for what it pools, and its part of the
        top."""
        rows, start = whole.reshape(bottom[0], -1), 0
        for i, level in enumerate(self._poolings(bottom)):
            for name in level.buffers(bottom):  # they are this layer's, under the level's number
                setattr(level, name, getattr(self, f"level{i}_{name}"))
            pooled = getattr(self, f"level{i}")
            end = start + pooled.size // bottom[0]
            yield level, pooled, rows[:, start:end]
            start = end


@register("SPP")
class SPP(Pyramid):
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
        if p.pyramid_height == 0:
            self.reject("pyramid_height is 0 or missing", expected="levels, 1 or more")
        self.check_engine(p)
        self.kind, self.levels = p.pool, p.pyramid_height
        self.begin()

    def windows(self, level, size):
        bins = 2**level
        kernel = [-(-extent // bins) for extent in size]
        pad = [(k * bins - extent + 1) // 2 for k, extent in zip(kernel, size, strict=True)]
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            self.reject(
                f"level {level} of pyramid_height {self.levels} has {bins} x {bins} bins, too many "
                f"for a bottom of {size[0]} x {size[1]}: some would lie on padding alone",
                fix=f"set pyramid_height to {level}, or enlarge the bottom",
                field="spp_param.pyramid_height",
            )
        if self.stochastic and any(pad):
            self.reject(
                f"a bottom of {size[0]} x {size[1]} has to be padded for {bins} x {bins} bins, "
                "and STOCHASTIC pooling takes no padding",
                expected=f"height and width that {bins} divides",
                field="spp_param.pool",
            )
        return kernel, kernel, pad


@register("SpatialPyramidPooling")
class SpatialPyramidPooling(Pyramid):
    r"""Pool a map at several sizes, as a branch of Caffe of 2014 did before there was SPP.

    Each entry b of spatial_bin is a level, a Pooling of its own. Along an axis of that size,

        kernel = stride = size / b rounded down, without padding

    so where b does not divide the size there are more than b windows, and the last overhangs.

        y  = [level 0, level 1, ...], each (N, C * windows) flattened
        dx = the sum of the levels' own dx

    bottom[0]   (N, C, H, W)
    top[0]      (N, C * all windows); of a single level as Pooling gives it, with the whole map as
                its window, whatever spatial_bin says

    spatial_pyramid_pooling_param
        spatial_bin         b, one for each level, 1 or more and at most the size
        pool                MAX (default), AVE or STOCHASTIC, as for Pooling; in the branch it is
                            always MAX, for it reads another layer's field
        scale               accepted, and without effect, as in the branch

    Source: BVLC/caffe, pull request 560 (spatial_pyramid_pooling_layer.cpp).
    """

    fork = "BVLC/caffe, pull request 560"
    parameters = ("spatial_pyramid_pooling_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.spatial_pyramid_pooling_param
        self.bins = tuple(p.spatial_bin)
        if not self.bins or min(self.bins) < 1:
            self.reject(
                f"spatial_bin is {', '.join(map(str, self.bins)) or 'missing'}",
                expected="a number of windows for each level, 1 or more",
                field="spatial_pyramid_pooling_param.spatial_bin",
            )
        if len(self.bins) == 1:
            self.bins = (1,)
        self.kind, self.levels = p.pool, len(self.bins)
        self.begin()

    def windows(self, level, size):
        bins = self.bins[level]
        if bins > min(size):
            self.reject(
                f"spatial_bin is {bins}, and the bottom {size[0]} x {size[1]}",
                expected=f"at most {min(size)}",
                field="spatial_pyramid_pooling_param.spatial_bin",
            )
        kernel = [extent // bins for extent in size]
        return kernel, kernel, [0, 0]
