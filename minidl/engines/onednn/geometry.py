"""A convolution in the library's words: its arrays' dims, its strides and its paddings."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.onednn import api
from minidl.engines.onednn.layout import DnnlLayout
from minidl.engines.onednn.library import dnnl
from minidl.engines.request import Request


@dataclass(frozen=True)
class Geometry:
    """The dims of bottom, filters and top, and the four arguments that follow them.

    filters   (M, C, *kernel), in groups (group, M / group, C / group, *kernel), for M channels of
              the top and C of the bottom
    stored    the same as Caffe stores them: M and C the other way round if transposed
    given     strides, dilations (0: none), paddings before, paddings behind
    """

    src: Shape
    filters: Shape
    stored: Shape
    dst: Shape
    given: tuple[ctypes.Array[ctypes.c_int64], ...]


def geometry(op: ops.Conv, request: Request) -> Geometry:
    """Describe an `op` that has one number for each spatial axis, and one bottom."""
    (bottom,), (top,) = request.bottom_shapes, request.top_shapes
    axis = len(bottom) - len(op.kernel) - 1  # of the channels; all axes before count as images
    src, dst = ((math.prod(shape[:axis]), *shape[axis:]) for shape in (bottom, top))
    # Filters of a group connect its share of the channels only.
    outputs, inputs = dst[1] // op.group, src[1] // op.group
    group = (op.group,) if op.group > 1 else ()
    filters, stored = (
        (*group, *channels, *op.kernel) for channels in ((outputs, inputs), (inputs, outputs))
    )
    # A transposed convolution maps the narrow side to the wide one.
    wide, narrow = (dst, src) if op.transposed else (src, dst)
    behind = map(_behind, wide[2:], narrow[2:], op.kernel, op.stride, op.pad, op.dilation)
    given = op.stride, [d - 1 for d in op.dilation], op.pad, behind
    stored = stored if op.transposed else filters
    return Geometry(src, filters, stored, dst, tuple(map(api.dims, given)))


def transposed(filters: DnnlLayout) -> DnnlLayout:
    """Return the same filters with the axes of top and bottom channels swapped in name.

    Caffe has those of a deconvolution as (C, M / group, *kernel), as they would be for the
    convolution that it transposes; the library wants M in front.
    """
    order, group = list(range(len(filters.dims))), len(filters.dims) - len(filters.shape)
    order[group : group + 2] = group + 1, group
    axes = (ctypes.c_int * api.MAX_AXES)(*order)
    desc = dnnl().make("memory_desc", "memory_desc_permute_axes", filters, axes)
    return DnnlLayout(desc, filters.shape, filters.axes)


def _behind(size: int, out: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Return the padding at an axis's end that gives the library the same number of outputs.

    That is `pad` again, but where the kernel overhangs the padded bottom: see `ops.conv_out`.

    >>> _behind(size=28, out=14, kernel=3, stride=2, pad=1, dilation=1)
    1
    >>> _behind(size=4, out=1, kernel=5, stride=2, pad=0, dilation=1)
    1
    """
    extent = dilation * (kernel - 1) + 1
    return max(pad, (out - 1) * stride + extent - size - pad)
