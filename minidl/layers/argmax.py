"""Indices of the largest numbers: the `ArgMax` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, scratch
from minidl.layers.folding import fold


@register("ArgMax")
class ArgMax(Layer):
    """Find the `top_k` largest numbers, largest first; of equal ones, the later comes first.

        i_1, i_2, ... so that x[i_1] >= x[i_2] >= ... >= all others
        y = i, or x[i] with out_max_val

    bottom[0]   any shape
    top[0]      with `axis`: the bottom's shape, but top_k along `axis`: the indices or, with
                out_max_val, the values. Without: each item of the bottom (N, ...) as one row,
                (N, 1, top_k) indices, or with out_max_val (N, 2, top_k): indices, then values;
                with as many axes of size 1 behind them as make it those of the bottom
    argmax_param   out_max_val (false), top_k (1), axis (unset; negative counts from the end)

    No gradient passes. Beside a NaN nothing is largest: all its indices are -1, all values NaN.

    Source: Caffe, which leaves the order open where there is a NaN.
    """

    family = "shape"
    parameters = ("argmax_param",)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.argmax_param
        self.along = p.axis if p.HasField("axis") else None
        self.top_k, self.out_max_val = p.top_k, p.out_max_val
        if self.top_k < 1:
            self.reject_field("argmax_param.top_k", expected="1 or more")

    def top_shapes(self, bottom):
        axis, (_, count, _) = self._axis(bottom), self._fold(bottom)
        if self.top_k > count:
            self.reject(
                f"top_k is {self.top_k}, but there are {count} numbers to choose from "
                f"in the bottom {bottom}",
                expected=f"at most {count}",
                field="argmax_param.top_k",
            )
        if axis is not None:
            return ((*bottom[:axis], self.top_k, *bottom[axis + 1 :]),)
        kinds = 2 if self.out_max_val else 1  # indices, and behind them the values
        return ((bottom[0], kinds, self.top_k, *[1] * (len(bottom) - 3)),)

    def buffers(self, bottom):
        outer, count, inner = self._fold(bottom)
        return {
            "rest": scratch((outer, count, inner)),
            "chosen": scratch((outer, count, inner), np.bool_),
            "left": scratch((outer, count, inner), np.bool_),
            "number": scratch((outer, count, inner), np.int32),
            "index": scratch((outer, inner), np.int32),
            "largest": scratch((outer, inner)),
        }

    def forward(self, bottom, top):
        xp, three = self.xp, self._fold(bottom[0].shape)
        indices, values = self._tops(top[0].data, three)
        rest, chosen, left, number = self.rest, self.chosen, self.left, self.number
        numbers = self.table(_numbers, three[1])
        rest[...] = bottom[0].data.reshape(three)  # the largest is taken out of it, top_k times
        left.fill(True)
        for k in range(self.top_k):
            xp.max(rest, axis=1, out=self.largest)
            xp.equal(rest, self.largest[:, None], out=chosen)
            chosen &= left  # -inf may be taken already
            xp.multiply(chosen, numbers, out=number)  # candidates' numbers; 0 for the others
            xp.max(number, axis=1, out=self.index)  # of equal ones the later
            if indices is not None:
                xp.subtract(self.index, 1, out=indices[:, k])
            if values is not None:
                values[:, k] = self.largest
            xp.equal(numbers, self.index[:, None], out=chosen)
            xp.copyto(rest, -math.inf, where=chosen)
            xp.greater(left, chosen, out=left)  # left and not chosen

    def _axis(self, shape):
        if self.along is None:
            if not shape:
                self.reject("the bottom is a single number", expected="(N, ...)")
            return None
        return self.axis(self.along, shape, "argmax_param.axis")

    def _fold(self, shape):
        """(outer, numbers to choose from, inner) of the bottom."""
        axis = self._axis(shape)
        return (shape[0], math.prod(shape[1:]), 1) if axis is None else fold(shape, axis)

    def _tops(self, y, three):
        """Return the places for indices and for values, each (outer, top_k, inner) or None."""
        outer, _, inner = three
        if self.along is not None:
            y = y.reshape(outer, self.top_k, inner)
            return (None, y) if self.out_max_val else (y, None)
        y = y.reshape(outer, 2 if self.out_max_val else 1, self.top_k, 1)
        return y[:, 0], y[:, 1] if self.out_max_val else None


def _numbers(count: int) -> np.ndarray:
    """1, 2, ... for the elements along the middle axis; 0 is for none."""
    return np.arange(1, count + 1, dtype=np.int32)[:, None]
