"""ROIPooling and ROIAlign: regions of a map brought to one size."""

from __future__ import annotations

from minidl.onnx.graph import Step
from minidl.onnx.table import exports


@exports(
    "ROIPooling",
    "MaxRoiPool, which rounds as the layer does; 0 by Where for regions of image -1, that is none",
)
def roi_pooling(step: Step) -> list[str]:
    rows, numbers, boxes = _regions(step)
    images = step.emit("Relu", numbers)  # it refuses an image -1
    whole = step.emit("Concat", images, boxes, axis=1)
    y = step.emit(
        "MaxRoiPool",
        *(step.x, whole),
        pooled_shape=list(step.layer.size),
        spatial_scale=float(step.layer.scale),
    )
    return [_without_the_missing(step, y, numbers, rows)]


@exports(
    "ROIAlign",
    "RoiAlign without the half pixel; 0 by Where for regions of image -1, that is none. Samples "
    "are placed in float32, the layer's in float64: where sampling_ratio is 0 and a bin is a whole "
    "number of places long but for rounding, it may have one more",
)
def roi_align(step: Step) -> list[str]:
    layer = step.layer
    rows, numbers, boxes = _regions(step)
    images = step.emit("Cast", step.emit("Relu", numbers), to="int64")
    y = step.emit(
        "RoiAlign",
        *(step.x, boxes, step.reshape(images, (rows, 1), (rows,))),
        coordinate_transformation_mode="output_half_pixel",
        mode="avg",
        output_height=layer.size[0],
        output_width=layer.size[1],
        sampling_ratio=layer.samples,
        spatial_scale=float(layer.scale),
    )
    return [_without_the_missing(step, y, numbers, rows)]


def _regions(step: Step) -> tuple[int, str, str]:
    """Return the number of regions, their image numbers (R, 1), and their corners (R, 4)."""
    shape = step.bottom_shapes[1]
    table = step.reshape(step.bottoms[1], shape, (shape[0], 5))
    sizes = step.ints("columns", [1, 4])
    numbers, boxes = step.emit_all("Split", 2, table, sizes, axis=1)
    return shape[0], numbers, boxes


def _without_the_missing(step: Step, y: str, numbers: str, rows: int) -> str:
    missing = step.emit("Less", numbers, step.number(0))
    column = step.reshape(missing, (rows, 1), (rows, 1, 1, 1))
    return step.emit("Where", column, step.number(0), y)
