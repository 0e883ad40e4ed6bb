"""Layers that move data or rename its axes: Concat, Slice, Crop, Tile, Reshape and the like."""

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


@exports("Crop", "Slice to the sizes that its second bottom has")
def crop(step: Step) -> list[str]:
    p, (shape, like) = step.layer.spec.crop_param, step.bottom_shapes
    axes = range(p.axis % len(shape), len(shape))
    starts = list(p.offset) or [0]
    starts = starts * len(axes) if len(starts) == 1 else starts
    ends = [start + like[axis] for start, axis in zip(starts, axes, strict=True)]
    cut = [step.ints(n, v) for n, v in (("start", starts), ("end", ends), ("axes", axes))]
    return [step.emit("Slice", step.x, *cut)]


@exports("Tile", "Tile")
def tile(step: Step) -> list[str]:
    p, repeats = step.layer.spec.tile_param, [1] * len(step.bottom_shapes[0])
    repeats[p.axis] = p.tiles
    return [step.emit("Tile", step.x, step.ints("repeats", repeats))]


@exports("Parameter", "a constant")
def parameter(step: Step) -> list[str]:
    return [step.param("value")]
