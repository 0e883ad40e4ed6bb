"""Upsample, Interp and Resize: maps made larger or smaller."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.interp import weights
from minidl.layers.resize import weights as resize_weights
from minidl.onnx.graph import Step
from minidl.onnx.table import exports

FINE = 4e-6  # in places: values between two differ by at most 2 of the largest, times this


@exports(
    "Interp",
    "Resize, linear with aligned corners, after Slice where pad_beg and pad_end cut; MatMul by the "
    "weights of rows and columns where float32 is too coarse for places, in maps of 130 and more",
)
def interp(step: Step) -> list[str]:
    layer, before, after = step.layer, step.bottom_shapes[0][2:], step.top_shapes[0][2:]
    axes = list(zip(before, after, strict=True))
    if not all(_places_fit(size - sum(layer.cut), out) for size, out in axes):
        return _by_weights(step, *(weights(*axis, layer.cut, np.float32) for axis in axes))
    x = _without_ends(step, *layer.cut) if any(layer.cut) else step.x
    return [
        step.emit(
            "Resize",
            *(x, "", "", _sizes(step, x, after)),
            mode="linear",
            coordinate_transformation_mode="align_corners",
        )
    ]


@exports("Resize", "MatMul by the weights of rows and columns")
def resize(step: Step) -> list[str]:
    axes = zip(step.bottom_shapes[0][2:], step.top_shapes[0][2:], strict=True)
    return _by_weights(step, *(resize_weights(*axis, np.float32) for axis in axes))


def _by_weights(step: Step, rows: np.ndarray, columns: np.ndarray) -> list[str]:
    wide = step.emit("MatMul", step.x, step.array("columns", columns.T))
    return [step.emit("MatMul", step.array("rows", rows), wide)]


def _places_fit(size: int, out: int) -> bool:
    """Return whether positions in the bottom, computed in float32, are precise enough."""
    if out == 1:
        return True
    o = np.arange(out)
    single = o.astype(np.float32) * np.float32(size - 1) / np.float32(out - 1)
    return bool(np.all(np.abs(single - o * (size - 1) / (out - 1)) < FINE))


def _without_ends(step: Step, begin: int, end: int) -> str:
    ends = [size - end for size in step.bottom_shapes[0][2:]]
    where = (("start", [begin] * 2), ("end", ends), ("axes", [2, 3]))
    return step.emit("Slice", step.x, *[step.ints(name, values) for name, values in where])


@exports("Upsample", "ScatterElements into zeros; of two values for one place, either may stay")
def upsample(step: Step) -> list[str]:
    shape, top = step.bottom_shapes[0], step.top_shapes[0]
    places, count = math.prod(top[2:]), (*shape[:2], math.prod(shape[2:]))
    x, mask = (step.reshape(value, shape, count) for value in step.bottoms)
    zeros = step.emit("Expand", step.number(0), _sizes(step, x, (places,)))
    index = step.emit("Cast", mask, to="int64")
    y = step.emit("ScatterElements", zeros, index, x, axis=2)
    return [step.reshape(y, (*top[:2], places), top)]


def _sizes(step: Step, x: str, last: tuple[int, ...]) -> str:
    """Return batch and channels of x, unchanged, and these sizes after them."""
    first = step.emit("Shape", x, start=0, end=2)
    return step.emit("Concat", first, step.ints("size", last), axis=0)
