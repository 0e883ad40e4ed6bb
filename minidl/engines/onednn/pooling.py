"""Plans for `ops.Pool`: the maximum or the mean of each window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.follow import follow
from minidl.engines.onednn.layout import DnnlLayout, anything, arriving, channels_last
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request
from minidl.ops import Axis


@OPERATORS.serves(ops.Pool)
def plans(engine: Engine, op: ops.Pool, request: Request) -> Iterator[Plan] | Declined:
    """Offer the arrangement in which the bottom arrives: the library is fast in all common ones.

    The first of equal maxima gets the gradient, as in the layer. A maximum passes over NaN, and
    is the lowest float32 in a window of NaN or -inf alone: Caffe's rule; the layer gives NaN, and
    -inf.
    """
    if len(request.top_shapes) > 1:
        return Declined("it does not say where a maximum was, which the second top asks for")
    (bottom,), (top,) = request.bottom_shapes, request.top_shapes
    axes = _axes(op, bottom)
    algorithm = _algorithm(op.kind, axes)
    if isinstance(algorithm, Declined):
        return algorithm
    geometry = _geometry(axes)

    def arguments(data: DnnlLayout) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        same = algorithm, data, anything(top, data.dtype), *geometry
        return same, same

    arrived = arriving(request.bottom_layouts[0], bottom)
    arrangements = arrived, channels_last(bottom, arrived.dtype)
    return follow(request, "pooling", arguments, arrangements)


def _axes(op: ops.Pool, bottom: Shape) -> tuple[Axis, ...]:
    size, op = bottom[2:], op.over(bottom[2:])
    geometry = zip(size, op.kernel, op.stride, op.pad, op.out(size), strict=True)
    return tuple(Axis(*axis) for axis in geometry)


def _algorithm(kind: str, axes: tuple[Axis, ...]) -> int | Declined:
    """Return the library's name for it, if that divides a mean by what Caffe divides it by.

    Caffe counts a window's places on the bottom and on its padding, but not those beyond. The
    library counts either all of them or those on the bottom.
    """
    if kind == "MAX":
        return api.POOLING_MAX
    if kind != "AVE":
        return Declined(f"it has no {kind} pooling")
    # No window reaches beyond the padding: all its places count, in Caffe as well.
    if all(length == axis.kernel for axis in axes for length in axis.lengths):
        return api.POOLING_AVG_INCLUDE_PADDING
    # No padding: only places on the bottom count, in Caffe as well.
    if all(axis.pad == 0 for axis in axes):
        return api.POOLING_AVG_EXCLUDE_PADDING
    return Declined("it has no mean of windows that reach beyond the padding")


def _geometry(axes: tuple[Axis, ...]) -> tuple[Any, ...]:
    """Return strides, kernel, dilation (0 is none), padding at the start and at the end."""
    # Behind there is as much padding as the last window needs, independent of the prototxt: Caffe
    # rounds the number of windows up.
    behind = [(a.windows - 1) * a.stride + a.kernel - a.pad - a.size for a in axes]
    return (
        api.dims(a.stride for a in axes),
        api.dims(a.kernel for a in axes),
        api.dims(0 for _ in axes),
        api.dims(a.pad for a in axes),
        api.dims(max(0, rest) for rest in behind),
    )
