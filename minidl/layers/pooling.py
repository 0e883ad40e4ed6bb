"""One value for each window of each channel: the `Pooling` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.pooling_windows import Windows


@register("Pooling")
class Pooling(Windows):
    r"""Summarise each window of each channel by one value: smaller maps that mind less about place.

    A window has kernel_h x kernel_w places; a new one begins every `stride` places, the first one
    `pad` places before the bottom. With x[j] over the places j of window o that lie on the bottom,

        MAX         y[o] = max(x[j])                dx[j] = sum(dy[o] where j is the first maximum)
        AVE         y[o] = sum(x[j]) / a[o]         dx[j] = sum(dy[o] / a[o] over windows with j)
                    a[o] counts the window's places, on the padding too, but not beyond it
        STOCHASTIC  for x >= 0
          training  y[o] = x[j], j drawn with probability x[j] / sum(x); dx as for MAX
          else      y[o] = sum(x[j]**2) / sum(x[j]), or 0 where that sum is 0
                    dx[j] = sum(dy[o] * (2 * x[j] - y[o]) / sum(x) over windows with j)

    bottom[0]   (N, C, H, W)
    top[0]      (N, C, out_h, out_w), out = (size + 2 pad - kernel) / stride + 1 rounded up: the
                last window may overhang. With padding, one that would begin beyond the bottom is
                left out.
    top[1]      optional, for MAX: the same shape, where the maximum was, as row * W + column

    pooling_param
        pool                MAX (default), AVE or STOCHASTIC
        kernel_size, or kernel_h and kernel_w
        stride (1), or stride_h and stride_w
        pad (0), or pad_h and pad_w     less than the kernel; none for STOCHASTIC
        global_pooling      the window is the whole bottom: no kernel, pad or stride then
        round_mode          CEIL (default), or FLOOR: no window overhangs
        engine              only the array code is here; CUDNN is warned about

    Differences from Caffe. Without padding, a stride wider than the kernel can put the last window
    wholly beyond the bottom; Caffe gives it -FLT_MAX (MAX) or divides by a negative area (AVE),
    here the net is refused. A NaN makes the maximum of its window NaN (Caffe passes over it), and
    no gradient is lost outside the bottom. STOCHASTIC works on the CPU, and outside training has
    the gradient of what it computes.

    Source: MAX, Riesenhuber & Poggio 1999; AVE, LeCun et al. 1989; STOCHASTIC, Zeiler & Fergus
    2013.
    """

    def __new__(cls, spec, ctx):
        p = spec.pooling_param
        drawing = StochasticPooling if ctx.training else WeightedPooling
        kinds = {p.MAX: MaxPooling, p.AVE: AveragePooling, p.STOCHASTIC: drawing}
        return super().__new__(kinds[p.pool])


class MaxPooling(Pooling):
    """A winner for each window; forward notes its place, which is all that backward needs."""

    def buffers(self, bottom):
        top = self.top_shapes(bottom)[0]
        part = (self._images(bottom), *top[1:])
        places = math.prod(self.op.over(bottom[2:]).kernel)
        return {
            "winner": saved(top, np.min_scalar_type(places)),  # the tap's number
            "number": scratch(part, np.min_scalar_type(places)),
            "chosen": scratch(part, np.bool_),
            "value": scratch(part),
        }

    def forward(self, bottom, top):
        for part in self._parts(bottom[0].shape):
            x, y, winner = bottom[0].data[part], top[0].data[part], self.winner[part]
            self._choose(x, y, winner)
            if len(top) == 2:
                self._locate(bottom[0].shape, winner, top[1].data[part])

    def backward(self, top, wanted, bottom):
        xp = self.xp
        apart = all(axis.stride >= axis.kernel for axis in self._axes(bottom[0].shape))
        for part in self._parts(bottom[0].shape):
            dy, dx, winner = top[0].diff[part], bottom[0].diff[part], self.winner[part]
            dx.fill(0)
            for number, seen_by, seen in self._taps(bottom[0].shape):
                chosen = self.chosen[: len(dy)][seen_by]
                share = dx[seen] if apart else self.value[: len(dy)][seen_by]
                xp.equal(winner[seen_by], number, out=chosen)
                xp.multiply(dy[seen_by], chosen, out=share)
                if not apart:
                    dx[seen] += share

    def _choose(self, x, y, winner):
        """The maximum. Arithmetic on all elements: masked copies take ten times as long."""
        xp, images = self.xp, len(x)
        y.fill(-math.inf)
        winner.fill(0)
        for number, seen_by, seen in self._taps(x.shape):
            best, place = y[seen_by], winner[seen_by]
            value, higher = self.value[:images][seen_by], self.chosen[:images][seen_by]
            mark = self.number[:images][seen_by]
            value[...] = x[seen]  # gathered once, read twice
            if number:
                xp.greater(value, best, out=higher)
                xp.multiply(higher, winner.dtype.type(number), out=mark)
                xp.maximum(place, mark, out=place)  # the numbers grow, so the last mark stays
            xp.maximum(best, value, out=best)

    def _locate(self, bottom, winner, index):
        """row * W + column of the winners; a window of -inf or NaN alone names its first place."""
        xp, images = self.xp, len(winner)
        h, w = self._axes(bottom)
        place, column = self.number[:images], self.value[:images]
        xp.floor_divide(winner, w.kernel, out=place)
        xp.add(place, xp.asarray(h.starts, self.dtype)[:, None], out=index)
        xp.maximum(index, 0, out=index)
        index *= bottom[3]
        xp.remainder(winner, w.kernel, out=place)
        xp.add(place, xp.asarray(w.starts, self.dtype), out=column)
        xp.maximum(column, 0, out=column)
        index += column


class StochasticPooling(MaxPooling):
    """The winner is drawn: the first place where the running sum reaches a random part of it all.

    With u from [0, 1) the winner's number is the count of places at which the running sum is
    still less than (1 - u) * sum(x), so that one of weight 0 is never drawn beside others.
    """

    def forward(self, bottom, top):
        self.rng = self.random()
        super().forward(bottom, top)

    def _choose(self, x, y, winner):
        xp, images = self.xp, len(x)
        running, chosen = self.value[:images], self.chosen[:images]
        threshold = y  # until the winners are known
        threshold.fill(0)
        for _, seen_by, seen in self._taps(x.shape):
            threshold[seen_by] += x[seen]
        threshold *= xp.asarray(1 - self.rng.random(y.shape), self.dtype)
        running.fill(0)
        winner.fill(0)
        for _, seen_by, seen in self._taps(x.shape):
            running[seen_by] += x[seen]
            winner += xp.less(running, threshold, out=chosen)
        y.fill(0)
        for number, seen_by, seen in self._taps(x.shape):
            xp.equal(winner[seen_by], number, out=chosen[seen_by])
            xp.multiply(x[seen], chosen[seen_by], out=running[seen_by])
            y[seen_by] += running[seen_by]


class WeightedPooling(Pooling):
    """STOCHASTIC outside training: what would be drawn on average."""

    keeps = ("bottom",)

    def buffers(self, bottom):
        part = (self._images(bottom), *self.top_shapes(bottom)[0][1:])
        return {"total": scratch(part), "mean": scratch(part), "term": scratch(part)}

    def forward(self, bottom, top):
        for part in self._parts(bottom[0].shape):
            self._average(bottom[0].data[part], top[0].data[part])

    def backward(self, top, wanted, bottom):
        xp = self.xp
        for part in self._parts(bottom[0].shape):
            x, dx = bottom[0].data[part], bottom[0].diff[part]
            mean, term = self.mean[: len(x)], self.term[: len(x)]
            total = self._average(x, mean)
            xp.divide(top[0].diff[part], total, out=total)  # dy / sum(x), or dy / inf
            dx.fill(0)
            for _, seen_by, seen in self._taps(x.shape):
                share = term[seen_by]
                xp.multiply(x[seen], 2, out=share)
                share -= mean[seen_by]
                share *= total[seen_by]
                dx[seen] += share

    def _average(self, x, mean):
        """Fill `mean`; returns sum(x), infinite where it is 0."""
        total, term = self.total[: len(x)], self.term[: len(x)]
        total.fill(0)
        mean.fill(0)
        for _, seen_by, seen in self._taps(x.shape):
            total[seen_by] += x[seen]
            self.xp.square(x[seen], out=term[seen_by])
            mean[seen_by] += term[seen_by]
        total[total == 0] = math.inf
        mean /= total
        return total


class AveragePooling(Pooling):
    """Means, by sums over rows and then over columns: kernel_h + kernel_w passes, not their
    product."""

    def buffers(self, bottom):
        top, images = self.top_shapes(bottom)[0], self._images(bottom)
        return {
            "share": scratch((images, *top[1:])),
            "rows": scratch((images, *top[1:3], bottom[3])),
        }

    def forward(self, bottom, top):
        h, w = self._axes(bottom[0].shape)
        area = self._area(bottom[0].shape)
        for part in self._parts(bottom[0].shape):
            x, y = bottom[0].data[part], top[0].data[part]
            rows = self.rows[: len(x)]
            rows.fill(0)
            for seen_by, seen in h.taps:
                rows[..., seen_by, :] += x[..., seen, :]
            y.fill(0)
            for seen_by, seen in w.taps:
                y[..., seen_by] += rows[..., seen]
            y /= area

    def backward(self, top, wanted, bottom):
        h, w = self._axes(bottom[0].shape)
        area = self._area(bottom[0].shape)
        for part in self._parts(bottom[0].shape):
            dy, dx = top[0].diff[part], bottom[0].diff[part]
            share, rows = self.share[: len(dy)], self.rows[: len(dy)]
            self.xp.divide(dy, area, out=share)
            rows.fill(0)
            for seen_by, seen in w.taps:
                rows[..., seen] += share[..., seen_by]
            dx.fill(0)
            for seen_by, seen in h.taps:
                dx[..., seen, :] += rows[..., seen_by, :]

    def _area(self, bottom):
        h, w = self._axes(bottom)
        return self.xp.asarray(np.outer(h.lengths, w.lengths), self.dtype)
