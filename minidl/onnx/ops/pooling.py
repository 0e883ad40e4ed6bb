"""Pooling, SPP and SpatialPyramidPooling: Caffe's windows, which may overhang, and its divisor."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from minidl import ops
from minidl.onnx.graph import Step
from minidl.onnx.table import cannot, exports
from minidl.ops import Axis


@exports(
    "Pooling",
    "MaxPool, AveragePool or their Global forms, with the padding that gives Caffe's windows; "
    "average windows that overhang padding are scaled to Caffe's divisor; STOCHASTIC as in TEST",
)
def pooling(step: Step) -> list[str]:
    op = step.layer.op.over(step.bottom_shapes[0][2:])
    kinds = {"MAX": _max, "AVE": _average, "STOCHASTIC": _weighted}
    return kinds[op.kind](step, op)


@exports("SpatialPyramidPooling", "as SPP")
@exports("SPP", "what Pooling becomes, for each level; Flatten and Concat")
def pyramid(step: Step) -> list[str]:
    shape, levels = step.bottom_shapes[0], []
    for level in step.layer._poolings(shape):
        part = dataclasses.replace(step, layer=level, top_shapes=level.top_shapes(shape))
        levels += pooling(part)
    if len(levels) == 1:
        return levels
    return [step.emit("Concat", *[step.emit("Flatten", y, axis=1) for y in levels], axis=1)]


def _max(step: Step, op: ops.Pool) -> list[str]:
    if _is_global(step, op) and len(step.top_shapes) == 1:
        return [step.emit("GlobalMaxPool", step.x)]
    values, *places = step.emit_all("MaxPool", len(step.top_shapes), step.x, **_windows(step, op))
    if not places:
        return [values]
    # ONNX counts through the whole blob, Caffe through one channel, in the blob's number type.
    plane = step.ints("plane", [math.prod(step.bottom_shapes[0][2:])])
    within = step.emit("Mod", places[0], plane)
    return [values, step.emit("Cast", within, to="float32")]


def _average(step: Step, op: ops.Pool) -> list[str]:
    """Caffe divides by the size of a window on the bottom and its padding, not beyond."""
    if _is_global(step, op):
        return [step.emit("GlobalAveragePool", step.x)]
    if op.pad == (0, 0):
        return [step.emit("AveragePool", step.x, count_include_pad=0, **_windows(step, op))]
    y = step.emit("AveragePool", step.x, count_include_pad=1, **_windows(step, op))
    h, w = _axes(step, op)
    whole, areas = math.prod(op.kernel), np.outer(h.lengths, w.lengths)
    if np.all(areas == whole):
        return [y]
    return [step.emit("Mul", y, step.array("divisor", whole / areas.astype(np.float64)))]


def _weighted(step: Step, op: ops.Pool) -> list[str]:
    """sum(x**2) / sum(x), and 0 where that sum is 0. Means do for sums: one count divides both."""
    if step.layer.ctx.training:
        cannot("STOCHASTIC pooling draws random numbers in phase TRAIN")
    windows = _windows(step, op)
    square = step.emit("Mul", step.x, step.x)
    means = [step.emit("AveragePool", x, count_include_pad=1, **windows) for x in (square, step.x)]
    is_zero = step.emit("Cast", step.emit("Equal", means[1], step.number(0)), to="float32")
    return [step.emit("Div", means[0], step.emit("Add", means[1], is_zero))]


def _is_global(step: Step, op: ops.Pool) -> bool:
    size = step.bottom_shapes[0][2:]
    return op.kernel == size and op.pad == (0, 0) and step.top_shapes[0][2:] == (1, 1)


def _windows(step: Step, op: ops.Pool) -> dict[str, list[int]]:
    """Padding at the end as far as the last window reaches, so that rounding has no say."""
    ends = [max(0, axis.starts[-1] + axis.kernel - axis.size) for axis in _axes(step, op)]
    return {"kernel_shape": list(op.kernel), "strides": list(op.stride), "pads": [*op.pad, *ends]}


def _axes(step: Step, op: ops.Pool) -> list[Axis]:
    geometry = (step.bottom_shapes[0][2:], op.kernel, op.stride, op.pad, step.top_shapes[0][2:])
    return [Axis(*axis) for axis in zip(*geometry, strict=True)]
