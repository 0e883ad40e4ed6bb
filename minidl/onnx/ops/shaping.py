"""Layers that move data or rename its axes: Concat, Slice, Split, Flatten, Reshape."""

from __future__ import annotations

from minidl.onnx.graph import Step
from minidl.onnx.table import exports


@exports("Concat", "Concat, or nothing for a single bottom")
def concat(step: Step) -> list[str]:
    if len(step.bottoms) == 1:
        return [step.x]
    axis = step.layer.along % len(step.bottom_shapes[0])
    return [step.emit("Concat", *step.bottoms, axis=axis)]


@exports("Slice", "Split into parts of the same sizes, or nothing for a single top")
def slice_(step: Step) -> list[str]:
    tops = step.top_shapes
    if len(tops) == 1:
        return [step.x]
    axis = step.layer.along % len(step.bottom_shapes[0])
    sizes = step.ints("split", [shape[axis] for shape in tops])
    return step.emit_all("Split", len(tops), step.x, sizes, axis=axis)


@exports("Split", "nothing: every reader reads the one value")
def split(step: Step) -> list[str]:
    return [step.x] * len(step.top_shapes)


@exports("Flatten", "Reshape")
def flatten(step: Step) -> list[str]:
    return [step.reshape(step.x, step.bottom_shapes[0], step.top_shapes[0])]


@exports("Reshape", "Reshape")
def reshape(step: Step) -> list[str]:
    return [step.reshape(step.x, step.bottom_shapes[0], step.top_shapes[0])]
