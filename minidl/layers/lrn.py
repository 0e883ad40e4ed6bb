"""Local response normalisation, across channels or within one: the `LRN` layer."""

from __future__ import annotations

import logging
import math

from minidl import ops
from minidl.layers.base import Layer, register, saved, scratch

log = logging.getLogger("minidl")


@register("LRN")
class LRN(Layer):
    r"""Damp each activation by the energy around it.

    The window around an element is a row of n = local_size neighbouring channels at the same
    place, or WITHIN_CHANNEL a square of n x n neighbours in the same channel; beyond the border
    there are zeros. With m places in the window, so m = n or n * n,

        s[i] = k + alpha / m * sum(x[j]**2 for j in the window of i)
        y[i] = x[i] * s[i]**-beta

    and backward, since i lies in the window of j where j lies in that of i,

        dx[i] = dy[i] * s[i]**-beta - 2 * beta * alpha / m * x[i] * sum(r[j])
        r[j]  = dy[j] * x[j] * s[j]**(-beta - 1)

    bottom[0]   (N, C, H, W)
    top[0]      the same shape, in its own memory

    lrn_param
        local_size (5)      n, odd
        alpha (1), beta (0.75)
        k (1)               WITHIN_CHANNEL takes no notice of it and uses 1, as Caffe does
        norm_region         ACROSS_CHANNELS (default) or WITHIN_CHANNEL
        engine              CAFFE: this code; MKLDNN: oneDNN; CUDNN: cuDNN, on a GPU

    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3, who multiply the plain sum by
    alpha. Caffe, and this layer with it, divides alpha by the window: their 1e-4 with n = 5 would
    be ``alpha: 0.0005``. (Caffe's own AlexNet says 0.0001 all the same.)
    """

    family = "norm"
    keeps_positions = True
    computes = (ops.LRN,)
    parameters = ("lrn_param",)
    keeps = ("bottom",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.lrn_param
        if p.local_size % 2 == 0:
            near = f"{p.local_size - 1} or " if p.local_size else ""
            self.reject(
                f"local_size is {p.local_size}, but a window needs a middle",
                expected="an odd number",
                fix=f"use {near}{p.local_size + 1}",
                field="lrn_param.local_size",
            )
        within = p.norm_region == p.WITHIN_CHANNEL
        self.check_engine(p)
        if within and p.HasField("k") and p.k != 1:
            log.warning("%s: k is %g, but WITHIN_CHANNEL always uses 1", self.where, p.k)
        places = p.local_size**2 if within else p.local_size
        k = 1.0 if within else p.k
        self.op = ops.LRN(p.local_size, p.alpha / places, p.beta, k, within)

    def top_shapes(self, bottom):
        self.check_images(bottom)
        return (bottom,)

    def buffers(self, bottom):
        part = self._part(bottom)
        return {"scale": saved(bottom), "ratio": scratch(part), "other": scratch(part)}

    def multiply_adds(self, bottom):
        shifts = (4 if self.op.within else 2) * (self.op.size // 2) + 1
        return math.prod(bottom) * (shifts + 3)  # the window, its scale, the power and the product

    def forward(self, bottom, top):
        xp, op = self.xp, self.op
        for part in self._parts(bottom[0].shape):
            x, y, s = bottom[0].data[part], top[0].data[part], self.scale[part]
            spare = self.other[: len(x)]
            xp.square(x, out=y)  # y is free until the last line
            self._window_sum(y, s, spare)
            s *= op.alpha
            s += op.k
            self._power(s, y, spare)
            xp.divide(x, y, out=y)  # y held s**beta

    def backward(self, top, wanted, bottom):
        xp, op = self.xp, self.op
        for part in self._parts(bottom[0].shape):
            x, dx = bottom[0].data[part], bottom[0].diff[part]
            s, dy = self.scale[part], top[0].diff[part]
            ratio, direct = self.ratio[: len(x)], self.other[: len(x)]
            self._power(s, direct, ratio)
            xp.divide(dy, direct, out=direct)  # dy * s**-beta
            xp.multiply(direct, x, out=ratio)
            ratio /= s
            self._window_sum(ratio, dx, spare=ratio)
            dx *= x
            dx *= -2 * op.alpha * op.beta
            dx += direct

    def _window_sum(self, a, out, spare):
        """Sum `a` over the window, with zeros beyond the borders; overwrites `spare`."""
        if not self.op.within:
            self._sum_along(1, a, out)
            return
        self._sum_along(2, a, out)
        spare[...] = out  # rows are summed: sum those along columns
        self._sum_along(3, spare, out)

    def _sum_along(self, axis, a, out):
        """Sum over the window along one axis.

        Shift and add, not a running sum that adds the head and drops the tail: in float32 the
        latter loses a quiet element beside a loud one, and can even leave a negative energy.
        """
        out[...] = a
        before = (slice(None),) * axis
        for shift in range(1, min(self.op.size // 2, a.shape[axis] - 1) + 1):
            ahead, behind = (*before, slice(shift, None)), (*before, slice(None, -shift))
            out[ahead] += a[behind]
            out[behind] += a[ahead]

    def _power(self, s, out, spare):
        """out = s**beta; overwrites `spare`."""
        if self.op.beta == 0.75:  # as good as everywhere; two roots are cheaper than a power
            self.xp.sqrt(s, out=out)
            self.xp.sqrt(out, out=spare)
            out *= spare
        else:
            self.xp.power(s, self.op.beta, out=out)

    def _part(self, bottom):
        """Return the shape of what is worked on at a time: whole images, at least one."""
        image = math.prod(bottom[1:])
        return (min(bottom[0], max(1, self.ctx.device.piece // image)), *bottom[1:])

    def _parts(self, bottom):
        step = self._part(bottom)[0]
        return (slice(start, start + step) for start in range(0, bottom[0], step))
