"""Convolution and Deconvolution."""

from __future__ import annotations

from minidl.onnx.graph import Step
from minidl.onnx.table import exports

Shape = tuple[int, ...]


@exports("Convolution", "Conv, with Caffe's one output where the kernel is wider than the bottom")
def convolution(step: Step) -> list[str]:
    """Caffe cuts (size + 2 pad - extent) / stride off toward zero, ONNX rounds it down: where the
    filter is wider than the padded bottom, padding at the end makes up for the difference."""
    size, op = _size(step), step.layer.op.over(len(_size(step)))
    extents = [d * (k - 1) + 1 for k, d in zip(op.kernel, op.dilation, strict=True)]
    ends = tuple(
        max(pad, extent - extent_in - pad)
        for pad, extent, extent_in in zip(op.pad, extents, size, strict=True)
    )
    return _slide(step, "Conv", ends)


@exports("Deconvolution", "ConvTranspose")
def deconvolution(step: Step) -> list[str]:
    return _slide(step, "ConvTranspose", step.layer.op.over(len(_size(step))).pad)


def _slide(step: Step, type: str, ends: Shape) -> list[str]:
    """One operator for each bottom, all with the same weights.

    ONNX has the images on axis 0 and the channels on axis 1, and at least one axis behind them.
    """
    axis, size = _axis(step), _size(step)
    op = step.layer.op.over(len(size))
    flat = not size
    attributes = {
        "kernel_shape": list(op.kernel) or [1],
        "strides": list(op.stride) or [1],
        "dilations": list(op.dilation) or [1],
        "pads": [*op.pad, *ends] or [0, 0],
        "group": op.group,
    }
    shape = step.read("weight").shape
    params = [step.param("weight", (*shape, 1) if flat else shape)]
    if op.bias:
        params.append(step.param("bias"))
    tops = []
    for x, before, after in zip(step.bottoms, step.bottom_shapes, step.top_shapes, strict=True):
        images, maps = _images(before, axis), _images(after, axis)
        x = step.reshape(x, before, images)
        y = step.emit(type, x, *params, **attributes)
        tops.append(step.reshape(y, maps, after))
    return tops


def _images(shape: Shape, axis: int) -> Shape:
    """The shape with all axes before `axis` as one, and one of size 1 behind it if it is last."""
    count = 1
    for extent in shape[:axis]:
        count *= extent
    return (count, *shape[axis:], *[1] * (axis == len(shape) - 1))


def _axis(step: Step) -> int:
    axis: int = step.layer.spec.convolution_param.axis
    return axis % len(step.bottom_shapes[0])


def _size(step: Step) -> Shape:
    return step.bottom_shapes[0][_axis(step) + 1 :]
