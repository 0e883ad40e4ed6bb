"""Pooling: one value for each window of each channel.

`forward` and `backward` choose one of four methods. Below them the two halves of each stand side by
side; they work on n channels at a time, x being (n, H, W) and y (n, out_h, out_w). Where windows
lie, how many channels a part has, and the checks of `pooling_param` are in pooling_windows.py.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from minidl import ops
from minidl.arrays.method_cache import method_cache
from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.pooling_windows import Windows, read_pool
from minidl.layers.sliding import by


@register("Pooling")
class Pooling(Layer):
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
    computes = (ops.Pool,)

    parameters = ("pooling_param",)
    tops = (1, 2)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.op = read_pool(self)
        self.check_engine(spec.pooling_param)
        self.method = {"MAX": "highest", "AVE": "mean", "STOCHASTIC": "drawn"}[self.op.kind]
        if self.op.kind == "STOCHASTIC" and not ctx.training:
            self.method, self.keeps = "expected", ("bottom",)
        self._windows = method_cache(self._make_windows, 4)

    # ------------------------------------------------------------------ declare

    def top_shapes(self, bottom):
        self.check_images(bottom)
        size, op = bottom[2:], self.op.over(bottom[2:])
        out = op.out(size)
        if min(out) < 1:
            padded = tuple(s + 2 * p for s, p in zip(size, op.pad, strict=True))
            self.reject(
                f"kernel {by(op.kernel)} but the padded bottom is {by(padded)}, shape {bottom}",
                expected="a kernel that fits the bottom",
                fix="lower kernel_size, add pad, or set global_pooling: true",
            )
        for extent, windows, stride, pad in zip(size, out, op.stride, op.pad, strict=True):
            if ops.empty_window(extent, windows, stride, pad):
                start = (windows - 1) * stride - pad
                self.reject(
                    f"the last of {windows} windows would begin at {start}, beyond the bottom's "
                    f"{extent} (kernel {by(op.kernel)}, stride {by(op.stride)}, shape {bottom})",
                    expected="windows that see something of the bottom",
                    fix="set round_mode: FLOOR, or lower the stride",
                )
        return ((*bottom[:2], *out),) * len(self.spec.top)

    def sample_bottoms(self, shapes, rng):
        values = super().sample_bottoms(shapes, rng)
        return [np.abs(x) for x in values] if self.op.kind == "STOCHASTIC" else values

    def buffers(self, bottom):
        windows = self._windows(bottom)
        part = (windows.planes, *windows.out)
        if self.method == "mean":
            return {"share": scratch(part), "rows": scratch((*part[:2], bottom[3]))}
        if self.method == "expected":
            arrays = {name: scratch(part) for name in ("total", "mean", "term")}
            return {**arrays, "no_weight": scratch(part, np.bool_)}
        tap = np.min_scalar_type(windows.last_tap)
        arrays = {
            "winner": saved((*bottom[:2], *windows.out), tap),
            "mark": scratch(part, tap),
            "chosen": scratch(part, np.bool_),
            "value": scratch(part),
            "place": scratch(part, np.intp),
        }
        return arrays | ({"drawn": scratch(part, np.float64)} if self.method == "drawn" else {})

    def _make_windows(self, bottom):
        return Windows(self, self.op, bottom)

    # ------------------------------------------------------------------ act

    def forward(self, bottom, top):
        windows, data = self._windows(bottom[0].shape), (bottom[0].data, top[0].data)
        if self.method == "highest":
            for x, y, winner in windows.parts(*data, self.winner):
                self._highest(windows, x, y, winner)
        elif self.method == "drawn":
            rng = self.random()
            for x, y, winner in windows.parts(*data, self.winner):
                self._draw(windows, x, y, winner, rng)
        elif self.method == "mean":
            for x, y in windows.parts(*data):
                self._mean(windows, x, y)
        else:
            for x, y in windows.parts(*data):
                self._expect(windows, x, y)
        if len(top) == 2:
            self.xp.add(self.winner, windows.starts, out=top[1].data)

    def backward(self, top, wanted, bottom):
        windows, diffs = self._windows(bottom[0].shape), (bottom[0].diff, top[0].diff)
        if self.method == "mean":
            for dx, dy in windows.parts(*diffs):
                self._mean_backward(windows, dx, dy)
        elif self.method == "expected":
            for dx, dy, x in windows.parts(*diffs, bottom[0].data):
                self._expect_backward(windows, dx, dy, x)
        else:
            for dx, dy, winner in windows.parts(*diffs, self.winner):
                self._to_winners(windows, dx, dy, winner)

    # ------------------------------------------------------------------ MAX

    def _highest(self, windows, x, y, winner):
        """y = max(x) over each window; `winner`: the tap of the first maximum."""
        xp = self.xp
        value, higher, mark = (a[: len(x)] for a in (self.value, self.chosen, self.mark))
        (_, seen_by, seen), *others = windows.taps
        y.fill(-math.inf)
        y[seen_by] = x[seen]
        winner[...] = windows.first_taps  # win if nothing is higher than -inf
        for tap, seen_by, seen in others:
            if value[seen_by].size < value.size:
                value.fill(-math.inf)  # what a window sees beyond the bottom
            value[seen_by] = x[seen]
            # Where value is higher, winner = tap: arithmetic on all elements, since masked copies
            # take ten times as long.
            xp.greater(value, y, out=higher)
            xp.multiply(higher.view("u1"), winner.dtype.type(tap), out=mark)
            xp.maximum(winner, mark, out=winner)  # taps grow, so the last mark stays
            xp.maximum(y, value, out=y)

    def _to_winners(self, windows, dx, dy, winner):
        """dx[winner] += dy."""
        dx.fill(0)
        # On a GPU the sums of add.at are in no order, and may differ in their last bits from run to
        # run; those of the plans that engines have for this layer do not.
        self.xp.add.at(dx.reshape(-1), self._places(windows, winner), dy.reshape(-1))

    def _places(self, windows, winner):
        """Return the winners' places among all elements of a part (n, H, W), as a flat array."""
        place = self.place[: len(winner)]
        self.xp.add(winner, windows.starts, out=place)
        place += windows.channel_starts[: len(winner)]
        return place.reshape(-1)

    # ------------------------------------------------------------------ AVE

    def _mean(self, windows, x, y):
        """y = sum(x) / a, the sum over rows and then over columns: kernel_h + kernel_w passes, not
        their product."""
        rows = self.rows[: len(x)]  # (n, out_h, W)
        rows.fill(0)
        for seen_by, seen in windows.h.taps:
            rows[:, seen_by] += x[:, seen]
        y.fill(0)
        for seen_by, seen in windows.w.taps:
            y[..., seen_by] += rows[..., seen]
        y /= windows.areas

    def _mean_backward(self, windows, dx, dy):
        """The same steps backward: dy / a spreads along the rows and then along the columns."""
        share, rows = self.share[: len(dy)], self.rows[: len(dy)]
        self.xp.divide(dy, windows.areas, out=share)
        rows.fill(0)
        for seen_by, seen in windows.w.taps:
            rows[..., seen] += share[..., seen_by]
        dx.fill(0)
        for seen_by, seen in windows.h.taps:
            dx[:, seen] += rows[:, seen_by]

    # ------------------------------------------------------------------ STOCHASTIC

    def _draw(self, windows, x, y, winner, rng):
        """y = the winner, the first place where the running sum reaches a random part of it all.

        With u from [0, 1) the winner's number is the count of places at which the running sum is
        still less than (1 - u) * sum(x), so that one of weight 0 is never drawn beside others.
        Backward is that of MAX.
        """
        xp = self.xp
        running, passed, marks = (a[: len(x)] for a in (self.value, self.chosen, self.mark))
        threshold = y  # until the winners are known
        threshold.fill(0)
        for _, seen_by, seen in windows.taps:
            threshold[seen_by] += x[seen]
        drawn, part = self.drawn[: len(x)], running  # until the sums begin
        self.uniform(rng, drawn)
        xp.subtract(1, drawn, out=part)
        threshold *= part
        running.fill(0)
        winner.fill(0)
        for (_, seen_by, seen), (tap, next_by, _) in itertools.pairwise(windows.taps):
            running[seen_by] += x[seen]
            far, mark = winner[next_by], marks[next_by]
            xp.less(running[next_by], threshold[next_by], out=passed[next_by])
            xp.multiply(passed[next_by], winner.dtype.type(tap), out=mark)
            xp.maximum(far, mark, out=far)
        xp.take(x.reshape(-1), self._places(windows, winner), out=y.reshape(-1))

    def _expect(self, windows, x, y):
        """y = sum(x**2) / sum(x), what would be drawn on average; returns sum(x), infinite where it
        is 0."""
        total, term = self.total[: len(x)], self.term[: len(x)]
        total.fill(0)
        y.fill(0)
        for _, seen_by, seen in windows.taps:
            total[seen_by] += x[seen]
            self.xp.square(x[seen], out=term[seen_by])
            y[seen_by] += term[seen_by]
        no_weight = self.no_weight[: len(x)]
        self.xp.equal(total, 0, out=no_weight)
        self.xp.copyto(total, math.inf, where=no_weight)
        y /= total
        return total

    def _expect_backward(self, windows, dx, dy, x):
        """dx = the sum of dy * (2 * x - y) / sum(x) over the windows that see x."""
        xp, y, term = self.xp, self.mean[: len(x)], self.term[: len(x)]
        total = self._expect(windows, x, y)
        xp.divide(dy, total, out=total)  # dy / sum(x), or dy / inf
        dx.fill(0)
        for _, seen_by, seen in windows.taps:
            share = term[seen_by]
            xp.multiply(x[seen], 2, out=share)
            share -= y[seen_by]
            share *= total[seen_by]
            dx[seen] += share
