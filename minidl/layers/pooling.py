"""One value for each window of each channel: the `Pooling` layer."""

from __future__ import annotations

import itertools
import math

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.pooling_windows import Windows, grid


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
        ceil_mode           the same as forks write it: true, or false for FLOOR
        engine              CAFFE: this code; MKLDNN: oneDNN; CUDNN: cuDNN, on a GPU

    Differences from Caffe. Without padding, a stride wider than the kernel can put the last window
    wholly beyond the bottom; Caffe gives it -FLT_MAX (MAX) or divides by a negative area (AVE),
    here the net is refused. A NaN makes the maximum of its window NaN (Caffe passes over it), and
    no gradient is lost outside the bottom. STOCHASTIC works on the CPU, and outside training has
    the gradient of what it computes.

    Source: MAX, Riesenhuber & Poggio 1999; AVE, LeCun et al. 1989; STOCHASTIC, Zeiler & Fergus
    2013.
    """

    family = "pooling"

    def __new__(cls, spec, ctx):
        p = spec.pooling_param
        drawing = StochasticPooling if ctx.training else WeightedPooling
        kinds = {p.MAX: MaxPooling, p.AVE: AveragePooling, p.STOCHASTIC: drawing}
        return super().__new__(kinds[p.pool])


class MaxPooling(Pooling):
    """A winner for each window. Forward notes how many elements of its channel it lies behind the
    window's first place, which is all that backward needs to know."""

    def buffers(self, bottom):
        top, (kh, kw) = self.top_shapes(bottom)[0], self.op.over(bottom[2:]).kernel
        part = (self._planes(bottom), *top[2:])
        distance = np.min_scalar_type((kh - 1) * bottom[3] + kw - 1)
        return {
            "winner": saved(top, distance),
            "mark": scratch(part, distance),
            "chosen": scratch(part, np.bool_),
            "value": scratch(part),
            "place": scratch(part, np.intp),
        }

    def forward(self, bottom, top):
        size = bottom[0].shape[2:]
        for x, y, winner in self._parts(bottom[0].data, top[0].data, self.winner):
            self._choose(x, y, winner)
        if len(top) == 2:
            self.xp.add(self.winner, self._starts(size), out=top[1].data)

    def backward(self, top, wanted, bottom):
        # On a GPU the sums of add.at are in no order, and may differ in their last bits from run to
        # run; those of the plans that engines have for this layer do not.
        for dx, dy, winner in self._parts(bottom[0].diff, top[0].diff, self.winner):
            dx.fill(0)
            self.xp.add.at(dx.reshape(-1), self._places(dx.shape, winner), dy.reshape(-1))

    def _choose(self, x, y, winner):
        """The maximum. Arithmetic on all elements: masked copies take ten times as long."""
        xp = self.xp
        value, higher, mark = (a[: len(x)] for a in (self.value, self.chosen, self.mark))
        (_, seen_by, seen), *others = self._taps(x.shape[1:])
        y.fill(-math.inf)
        y[seen_by] = x[seen]
        winner[...] = self._first_seen(x.shape[1:])
        for distance, seen_by, seen in others:
            if value[seen_by].size < value.size:
                value.fill(-math.inf)  # what a window sees beyond the bottom
            value[seen_by] = x[seen]
            xp.greater(value, y, out=higher)
            xp.multiply(higher.view("u1"), winner.dtype.type(distance), out=mark)
            xp.maximum(winner, mark, out=winner)  # distances grow, so the last mark stays
            xp.maximum(y, value, out=y)

    def _first_seen(self, size):
        """The distance of each window's first place on the bottom: what wins if nothing is higher
        than -inf."""
        rows, columns = (tuple(max(0, -s) for s in axis.starts) for axis in self._axes(size))
        return self.table(grid, rows, columns, size[1])

    def _places(self, shape, winner):
        """The winners' places among all elements of a part (n, H, W), as a flat array."""
        place = self.place[: len(winner)]
        self.xp.add(winner, self._starts(shape[1:]), out=place)
        place += self.table(_channel_starts, len(winner), math.prod(shape[1:]))
        return place.reshape(-1)


class StochasticPooling(MaxPooling):
    """The winner is drawn: the first place where the running sum reaches a random part of it all.

    With u from [0, 1) the winner's number is the count of places at which the running sum is
    still less than (1 - u) * sum(x), so that one of weight 0 is never drawn beside others.
    """

    def buffers(self, bottom):
        needed = super().buffers(bottom)
        return {**needed, "drawn": scratch(needed["value"].shape, np.float64)}

    def forward(self, bottom, top):
        self.rng = self.random()
        super().forward(bottom, top)

    def _choose(self, x, y, winner):
        xp, taps = self.xp, list(self._taps(x.shape[1:]))
        running, passed, marks = (a[: len(x)] for a in (self.value, self.chosen, self.mark))
        threshold = y  # until the winners are known
        threshold.fill(0)
        for _, seen_by, seen in taps:
            threshold[seen_by] += x[seen]
        drawn, part = self.drawn[: len(x)], running  # until the sums begin
        self.uniform(self.rng, drawn)
        xp.subtract(1, drawn, out=part)
        threshold *= part
        running.fill(0)
        winner.fill(0)
        for (_, seen_by, seen), (distance, next_by, _) in itertools.pairwise(taps):
            running[seen_by] += x[seen]
            far, mark = winner[next_by], marks[next_by]
            xp.less(running[next_by], threshold[next_by], out=passed[next_by])
            xp.multiply(passed[next_by], winner.dtype.type(distance), out=mark)
            xp.maximum(far, mark, out=far)
        xp.take(x.reshape(-1), self._places(x.shape, winner), out=y.reshape(-1))


class WeightedPooling(Pooling):
    """STOCHASTIC outside training: what would be drawn on average."""

    keeps = ("bottom",)

    def buffers(self, bottom):
        part = (self._planes(bottom), *self.top_shapes(bottom)[0][2:])
        arrays = {name: scratch(part) for name in ("total", "mean", "term")}
        return {**arrays, "no_weight": scratch(part, np.bool_)}

    def forward(self, bottom, top):
        for x, y in self._parts(bottom[0].data, top[0].data):
            self._average(x, y)

    def backward(self, top, wanted, bottom):
        xp = self.xp
        for x, dx, dy in self._parts(bottom[0].data, bottom[0].diff, top[0].diff):
            mean, term = self.mean[: len(x)], self.term[: len(x)]
            total = self._average(x, mean)
            xp.divide(dy, total, out=total)  # dy / sum(x), or dy / inf
            dx.fill(0)
            for _, seen_by, seen in self._taps(x.shape[1:]):
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
        for _, seen_by, seen in self._taps(x.shape[1:]):
            total[seen_by] += x[seen]
            self.xp.square(x[seen], out=term[seen_by])
            mean[seen_by] += term[seen_by]
        no_weight = self.no_weight[: len(x)]
        self.xp.equal(total, 0, out=no_weight)
        self.xp.copyto(total, math.inf, where=no_weight)
        mean /= total
        return total


class AveragePooling(Pooling):
    """Means, by sums over rows and then over columns: kernel_h + kernel_w passes, not their
    product."""

    def buffers(self, bottom):
        (_, _, *out), planes = self.top_shapes(bottom)[0], self._planes(bottom)
        return {"share": scratch((planes, *out)), "rows": scratch((planes, out[0], bottom[3]))}

    def forward(self, bottom, top):
        h, w = self._axes(bottom[0].shape[2:])
        area = self._area(h, w)
        for x, y in self._parts(bottom[0].data, top[0].data):
            rows = self.rows[: len(x)]
            rows.fill(0)
            for seen_by, seen in h.taps:
                rows[:, seen_by] += x[:, seen]
            y.fill(0)
            for seen_by, seen in w.taps:
                y[..., seen_by] += rows[..., seen]
            y /= area

    def backward(self, top, wanted, bottom):
        h, w = self._axes(bottom[0].shape[2:])
        area = self._area(h, w)
        for dx, dy in self._parts(bottom[0].diff, top[0].diff):
            share, rows = self.share[: len(dy)], self.rows[: len(dy)]
            self.xp.divide(dy, area, out=share)
            rows.fill(0)
            for seen_by, seen in w.taps:
                rows[..., seen] += share[..., seen_by]
            dx.fill(0)
            for seen_by, seen in h.taps:
                dx[:, seen] += rows[:, seen_by]

    def _area(self, h, w):
        return self.table(_areas, tuple(h.lengths), tuple(w.lengths), self.dtype)


def _channel_starts(channels, area):
    """Where each of so many channels begins among the elements of all."""
    return np.arange(channels)[:, None, None] * area


def _areas(heights, widths, dtype):
    """How many places each window has."""
    return np.outer(heights, widths).astype(dtype)
