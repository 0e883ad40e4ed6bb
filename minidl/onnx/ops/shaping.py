"""Layers that move data or rename its axes: Concat, Slice, Crop, Tile, Reshape and the like."""

from __future__ import annotations

from minidl.onnx.graph import Step
from minidl.onnx.table import exports

BEFORE_FIRST = -(2**63) + 1  # where a Slice that goes backward ends


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


@exports("PriorBox", "a constant")
def prior_box(step: Step) -> list[str]:
    boxes = step.layer.boxes(*step.bottom_shapes)
    return [step.array("boxes", step.layer.ctx.device.to_host(boxes))]


@exports("CropCenter", "Slice")
def crop_center(step: Step) -> list[str]:
    shape = step.bottom_shapes[0]
    # An axis that is left whole is not named: so the batch does not become a constant.
    cut = {i: c for i, c in enumerate(step.layer.spec.crop_center_param.crop_size) if c}
    if not cut:
        return [step.x]
    ends = [shape[axis] - c for axis, c in cut.items()]
    where = (("start", list(cut.values())), ("end", ends), ("axes", list(cut)))
    return [step.emit("Slice", step.x, *[step.ints(name, values) for name, values in where])]


@exports("Flip", "Slice that goes backward")
def flip(step: Step) -> list[str]:
    p = step.layer.spec.flip_param
    axes = [axis for axis, turned in ((2, p.flip_height), (3, p.flip_width)) if turned]
    return [_backward(step, axes) if axes else step.x]


@exports("Reverse", "Slice that goes backward")
def reverse(step: Step) -> list[str]:
    return [_backward(step, [step.layer.spec.reverse_param.axis % len(step.bottom_shapes[0])])]


def _backward(step: Step, axes: list[int]) -> str:
    """The bottom with these axes turned around."""
    values = {"start": -1, "end": BEFORE_FIRST, "axes": 0, "step": -1}
    where = {name: [value] * len(axes) for name, value in values.items()} | {"axes": axes}
    return step.emit("Slice", step.x, *[step.ints(name, v) for name, v in where.items()])


@exports("ShuffleChannel", "Reshape, Transpose, Reshape")
def shuffle_channel(step: Step) -> list[str]:
    group, shape = step.layer.spec.shuffle_channel_param.group, step.bottom_shapes[0]
    blocks = (shape[0], group, shape[1] // group, *shape[2:])
    mixed = (shape[0], shape[1] // group, group, *shape[2:])
    x = step.reshape(step.x, shape, blocks)
    y = step.emit("Transpose", x, perm=[0, 2, 1, *range(3, len(blocks))])
    return [step.reshape(y, mixed, shape)]


@exports("Transpose", "Transpose")
@exports("Permute", "Transpose; axes that its order does not name come last")
def permute(step: Step) -> list[str]:
    return [step.emit("Transpose", step.x, perm=list(step.layer.order(step.bottom_shapes[0])))]
