"""What all kinds of pooling share: parameters, shapes, and where the windows fall."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.method_cache import method_cache
from minidl.layers.base import Layer
from minidl.ops import Axis

Index = tuple[Any, ...]


class Windows(Layer):
    """Windows that slide over every channel: reads them, states the shapes, lists the taps."""

    parameters = ("pooling_param",)
    tops = (1, 2)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.pooling_param
        self.op = ops.Pool(
            kind=p.DESCRIPTOR.fields_by_name["pool"].enum_type.values_by_number[p.pool].name,
            kernel=self._pair("kernel_size", "kernel"),
            stride=self._pair("stride", "stride"),
            pad=self._pair("pad", "pad"),
            ceil=p.ceil_mode if p.HasField("ceil_mode") else p.round_mode == p.CEIL,
        )
        self._check_fields()
        self.check_engine(p)
        self._axes = method_cache(self._make_axes, 4)

    def _pair(self, single, stem):
        """A field or its _h and _w forms, as (h, w); () for a kernel that is not given."""
        p, names = self.spec.pooling_param, (f"{stem}_h", f"{stem}_w")
        given = [name for name in names if p.HasField(name)]
        if given and p.HasField(single):
            self.reject(
                f"both {single} and {given[0]} are given",
                fix=f"delete {single}, or {' and '.join(given)}",
                field=f"pooling_param.{given[0]}",
            )
        if len(given) == 1:
            missing = names[1] if given[0] == names[0] else names[0]
            self.reject(f"{given[0]} is given without {missing}", fix=f"add {missing}")
        if stem == "kernel" and not given and not p.HasField(single):
            return ()
        return tuple(getattr(p, name) for name in names) if given else (getattr(p, single),) * 2

    def _check_fields(self):
        if self.spec.pooling_param.HasField("ceil_mode"):
            self._check_single_rounding()
        op, whole = self.op, self.spec.pooling_param.global_pooling
        if whole and op.kernel:
            self.reject(
                "both global_pooling and a kernel size are given",
                fix="delete global_pooling: true, or kernel_size (kernel_h, kernel_w)",
            )
        if whole and (op.pad, op.stride) != ((0, 0), (1, 1)):
            self.reject(
                f"global_pooling with pad {_by(op.pad)} and stride {_by(op.stride)}",
                expected="pad 0 and stride 1",
            )
        if not whole and not op.kernel:
            self.reject(
                "kernel_size is missing",
                fix="add kernel_size, or kernel_h and kernel_w, or global_pooling: true",
            )
        if 0 in op.kernel or 0 in op.stride:
            self.reject(
                f"kernel {_by(op.kernel)}, stride {_by(op.stride)}", expected="at least 1 each"
            )
        if op.kind == "STOCHASTIC" and op.pad != (0, 0):
            self.reject(f"pad {_by(op.pad)} with STOCHASTIC pooling", expected="pad 0")
        if op.kernel and any(pad >= k for pad, k in zip(op.pad, op.kernel, strict=True)):
            self.reject(
                f"pad {_by(op.pad)} for a kernel of {_by(op.kernel)}",
                expected="pad less than the kernel, so that every window sees the bottom",
            )
        if len(self.spec.top) == 2 and op.kind != "MAX":
            self.reject(f"{op.kind} pooling has 2 tops", expected="1 top: only MAX has an index")

    def _check_single_rounding(self):
        if self.spec.pooling_param.HasField("round_mode"):
            self.reject(
                "both ceil_mode and round_mode are given",
                fix="delete ceil_mode, the form of a fork",
                field="pooling_param.ceil_mode",
            )

    # ------------------------------------------------------------------ declare

    def top_shapes(self, bottom):
        if len(bottom) != 4 or 0 in bottom:
            self.reject(f"the bottom is {bottom}", expected="4 axes (N, C, H, W), none of them 0")
        size, op = bottom[2:], self.op.over(bottom[2:])
        out = op.out(size)
        if min(out) < 1:
            padded = tuple(s + 2 * p for s, p in zip(size, op.pad, strict=True))
            self.reject(
                f"kernel {_by(op.kernel)} but the padded bottom is {_by(padded)}, shape {bottom}",
                expected="a kernel that fits the bottom",
                fix="lower kernel_size, add pad, or set global_pooling: true",
            )
        for extent, windows, stride, pad in zip(size, out, op.stride, op.pad, strict=True):
            if ops.empty_window(extent, windows, stride, pad):
                start = (windows - 1) * stride - pad
                self.reject(
                    f"the last of {windows} windows would begin at {start}, beyond the bottom's "
                    f"{extent} (kernel {_by(op.kernel)}, stride {_by(op.stride)}, shape {bottom})",
                    expected="windows that see something of the bottom",
                    fix="set round_mode: FLOOR, or lower the stride",
                )
        return ((*bottom[:2], *out),) * len(self.spec.top)

    def sample_bottoms(self, shapes, rng):
        values = super().sample_bottoms(shapes, rng)
        return [np.abs(x) for x in values] if self.op.kind == "STOCHASTIC" else values

    # ------------------------------------------------------------------ for forward and backward

    def _make_axes(self, size):
        op = self.op.over(size)
        h, w = zip(size, op.kernel, op.stride, op.pad, op.out(size), strict=True)
        return Axis(*h), Axis(*w)

    def _planes(self, bottom):
        """How many channels, of whatever image, are worked on at a time."""
        elements = 2 * self.ctx.device.piece  # of the bottom; tops are smaller as a rule
        return min(math.prod(bottom[:2]), max(1, elements // math.prod(bottom[2:])))

    def _parts(self, *arrays):
        """The arrays (N, C, H, W) in parts (n, H, W), so that one part of all stays in a cache."""
        planes = [array.reshape(-1, *array.shape[2:]) for array in arrays]
        step = self._planes(arrays[0].shape)
        for start in range(0, len(planes[0]), step):
            yield [array[start : start + step] for array in planes]

    def _taps(self, size):
        """The window's places, row by row: how many elements of a channel behind its first one,
        which windows see something there, and what they see."""
        h, w = self._axes(size)
        for row, (top_h, bottom_h) in enumerate(h.taps):
            for column, (top_w, bottom_w) in enumerate(w.taps):
                yield row * size[1] + column, (..., top_h, top_w), (..., bottom_h, bottom_w)

    def _starts(self, size):
        """Where in a channel each window begins, which may be outside: (out_h, out_w)."""
        h, w = self._axes(size)
        return self.table(grid, tuple(h.starts), tuple(w.starts), size[1])


def grid(rows: ops.Ints, columns: ops.Ints, width: int) -> np.ndarray:
    """``row * width + column`` for all of both."""
    return np.array(rows)[:, None] * width + np.array(columns)


def _by(values: ops.Ints) -> str:
    """'3 x 5', as sizes are read."""
    return " x ".join(map(str, values))
