"""The windows of a pooling: read from `pooling_param`, and laid over a bottom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.blob import Shape
from minidl.layers.base import Layer
from minidl.layers.sliding import by
from minidl.ops import Axis


class Windows:
    """The windows of a pooling on bottoms (N, C, H, W) of one shape.

    h, w        an `Axis` for rows and columns
    out         windows along each of them
    planes      how many channels, of whatever image, to work on at a time, so that one part of
                all arrays stays in a cache
    """

    def __init__(self, layer: Layer, op: ops.Pool, bottom: Shape) -> None:
        size, self.dtype = bottom[2:], layer.dtype
        op, self.out = op.over(size), op.out(size)
        h, w = zip(size, op.kernel, op.stride, op.pad, self.out, strict=True)
        self.xp, self.h, self.w = layer.xp, Axis(*h), Axis(*w)
        elements = 2 * layer.ctx.device.piece  # of the bottom; tops are smaller as a rule
        self.planes = min(math.prod(bottom[:2]), max(1, elements // math.prod(size)))

    def parts(self, *arrays: Any) -> Iterator[list[Any]]:
        """Yield arrays (N, C, ...) in parts, `planes` channels (n, ...) of each at a time."""
        # (N * C, ...), no copies
        channels = [array.reshape(-1, *array.shape[2:]) for array in arrays]
        for start in range(0, len(channels[0]), self.planes):
            yield [array[start : start + self.planes] for array in channels]

    @cached_property
    def taps(self) -> list[tuple[int, tuple[Any, ...], tuple[Any, ...]]]:
        """The places of a window, row by row: the number of elements of a channel between the first
        place and this one, an index of the windows in which it lies on the bottom, and one of the
        elements there."""
        return [
            (row * self.w.size + column, (..., seen_by_h, seen_by_w), (..., seen_h, seen_w))
            for row, (seen_by_h, seen_h) in enumerate(self.h.taps)
            for column, (seen_by_w, seen_w) in enumerate(self.w.taps)
        ]

    @property
    def last_tap(self) -> int:
        """The number of elements of a channel between a window's first place and its last."""
        return (self.h.kernel - 1) * self.w.size + self.w.kernel - 1

    @cached_property
    def starts(self) -> Any:
        """The first place of each window in a channel, which may be outside: (out_h, out_w)."""
        return self._grid(self.h.starts, self.w.starts)

    @cached_property
    def first_taps(self) -> Any:
        """The tap of each window's first place on the bottom."""
        rows, columns = ([max(0, -start) for start in axis.starts] for axis in (self.h, self.w))
        return self._grid(rows, columns)

    @cached_property
    def channel_starts(self) -> Any:
        """The first element of each channel in a part: (planes, 1, 1)."""
        return self.xp.asarray(np.arange(self.planes)[:, None, None] * self.h.size * self.w.size)

    @cached_property
    def areas(self) -> Any:
        """The number of places of each window, on the bottom or its padding: (out_h, out_w)."""
        return self.xp.asarray(np.outer(self.h.lengths, self.w.lengths).astype(self.dtype))

    def _grid(self, rows: list[int], columns: list[int]) -> Any:
        """Return ``row * W + column`` for all pairs."""
        return self.xp.asarray(np.array(rows)[:, None] * self.w.size + np.array(columns))


def read_pool(layer: Layer) -> ops.Pool:
    """Return the ops.Pool that `pooling_param` describes; refuse fields that contradict each
    other."""
    p = layer.spec.pooling_param
    if p.HasField("ceil_mode") and p.HasField("round_mode"):
        layer.reject(
            "both ceil_mode and round_mode are given",
            fix="delete ceil_mode, the form of a fork",
            field="pooling_param.ceil_mode",
        )
    op = ops.Pool(
        kind=p.DESCRIPTOR.fields_by_name["pool"].enum_type.values_by_number[p.pool].name,
        kernel=_pair(layer, "kernel_size", "kernel"),
        stride=_pair(layer, "stride", "stride"),
        pad=_pair(layer, "pad", "pad"),
        ceil=p.ceil_mode if p.HasField("ceil_mode") else p.round_mode == p.CEIL,
    )
    _check_extent(layer, op, p.global_pooling)
    if 0 in op.kernel or 0 in op.stride:
        layer.reject(f"kernel {by(op.kernel)}, stride {by(op.stride)}", expected="at least 1 each")
    if op.kind == "STOCHASTIC" and op.pad != (0, 0):
        layer.reject(f"pad {by(op.pad)} with STOCHASTIC pooling", expected="pad 0")
    if op.kernel and any(pad >= k for pad, k in zip(op.pad, op.kernel, strict=True)):
        layer.reject(
            f"pad {by(op.pad)} for a kernel of {by(op.kernel)}",
            expected="pad less than the kernel, so that every window sees the bottom",
        )
    if len(layer.spec.top) == 2 and op.kind != "MAX":
        layer.reject(f"{op.kind} pooling has 2 tops", expected="1 top: only MAX has an index")
    return op


def _pair(layer: Layer, single: str, stem: str) -> ops.Ints:
    """Return a field or its _h and _w forms, as (h, w); () for a kernel that is not given."""
    p, names = layer.spec.pooling_param, (f"{stem}_h", f"{stem}_w")
    given = [name for name in names if p.HasField(name)]
    if given and p.HasField(single):
        layer.reject(
            f"both {single} and {given[0]} are given",
            fix=f"delete {single}, or {' and '.join(given)}",
            field=f"pooling_param.{given[0]}",
        )
    if len(given) == 1:
        missing = names[1] if given[0] == names[0] else names[0]
        layer.reject(f"{given[0]} is given without {missing}", fix=f"add {missing}")
    if stem == "kernel" and not given and not p.HasField(single):
        return ()
    return tuple(getattr(p, name) for name in names) if given else (getattr(p, single),) * 2


def _check_extent(layer: Layer, op: ops.Pool, whole: bool) -> None:
    """Refuse a window without a size, or with two: a kernel, or the whole bottom."""
    if whole and op.kernel:
        layer.reject(
            "both global_pooling and a kernel size are given",
            fix="delete global_pooling: true, or kernel_size (kernel_h, kernel_w)",
        )
    if whole and (op.pad, op.stride) != ((0, 0), (1, 1)):
        layer.reject(
            f"global_pooling with pad {by(op.pad)} and stride {by(op.stride)}",
            expected="pad 0 and stride 1",
        )
    if not whole and not op.kernel:
        layer.reject(
            "kernel_size is missing",
            fix="add kernel_size, or kernel_h and kernel_w, or global_pooling: true",
        )
