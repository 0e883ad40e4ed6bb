"""Upsample and Interp: maps made larger or smaller."""

from __future__ import annotations

import math

from minidl.onnx.graph import Step
from minidl.onnx.table import exports


@exports(
    "Interp",
    "Resize, linear with aligned corners; Slice before it where pad_beg and pad_end cut",
)
def interp(step: Step) -> list[str]:
    x, (begin, end) = step.x, step.layer.cut
    if begin or end:
        ends = [size - end for size in step.bottom_shapes[0][2:]]
        where = (("start", [begin] * 2), ("end", ends), ("axes", [2, 3]))
        x = step.emit("Slice", x, *[step.ints(name, values) for name, values in where])
    sizes = _sizes(step, x, step.top_shapes[0][2:])
    return [
        step.emit(
            "Resize",
            *(x, "", "", sizes),
            mode="linear",
            coordinate_transformation_mode="align_corners",
        )
    ]


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
    """Batch and channels of x, whatever they are, and these sizes after them."""
    first = step.emit("Shape", x, start=0, end=2)
    return step.emit("Concat", first, step.ints("size", last), axis=0)
