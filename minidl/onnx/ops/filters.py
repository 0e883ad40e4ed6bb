"""Convolution, Deconvolution and Im2col."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from minidl.onnx.graph import Step
from minidl.onnx.table import exports
from minidl.ops import Conv

Shape = tuple[int, ...]


@exports("ConvolutionDepthwise", "Conv, as Convolution")
@exports("DepthwiseConvolution", "Conv, as Convolution")
@exports("Convolution", "Conv, with Caffe's one output where the kernel is wider than the bottom")
def convolution(step: Step) -> list[str]:
    return _slide(step, "Conv", step.layer.op, _filters(step), _ends(step, step.layer.op))


@exports("Deconvolution", "ConvTranspose")
def deconvolution(step: Step) -> list[str]:
    op = step.layer.op
    return _slide(step, "ConvTranspose", op, _filters(step), op.over(len(_size(step))).pad)


@exports("Im2col", "Conv with a filter for each channel and place, which has a 1 there and else 0")
def im2col(step: Step) -> list[str]:
    size, channels = _size(step), step.bottom_shapes[0][_axis(step)]
    kernel = step.layer.window.over(len(size)).kernel
    taps = math.prod(kernel)
    ones = np.tile(np.eye(taps), (channels, 1)).reshape(channels * taps, 1, *(kernel or (1,)))
    op = dataclasses.replace(step.layer.window, group=channels)
    return _slide(step, "Conv", op, [step.array("taps", ones)], _ends(step, op))


def _filters(step: Step) -> list[str]:
    """The constants of weights and bias; filters have at least one axis."""
    shape = step.read("weight").shape
    params = [step.param("weight", (*shape, 1) if len(shape) == 2 else shape)]
    return params + ([step.param("bias")] if step.layer.op.bias else [])


def _ends(step: Step, op: Conv) -> Shape:
    """Padding at the end of each axis.

    Caffe cuts (size + 2 pad - extent) / stride off toward zero, ONNX rounds it down: where the
    filter is wider than the padded bottom, more padding at the end makes up for the difference.
    """
    size = _size(step)
    op = op.over(len(size))
    extents = [d * (k - 1) + 1 for k, d in zip(op.kernel, op.dilation, strict=True)]
    axes = zip(op.pad, extents, size, strict=True)
    return tuple(max(pad, extent - length - pad) for pad, extent, length in axes)


def _slide(step: Step, type: str, op: Conv, params: list[str], ends: Shape) -> list[str]:
    """One operator for each bottom, all with the same constants.

    ONNX has the images on axis 0 and the channels on axis 1, and at least one axis behind them.
    """
    axis = _axis(step)
    op = op.over(len(_size(step)))
    attributes = {
        "kernel_shape": list(op.kernel) or [1],
        "strides": list(op.stride) or [1],
        "dilations": list(op.dilation) or [1],
        "pads": [*op.pad, *ends] or [0, 0],
        "group": op.group,
    }
    tops = []
    for x, before, after in zip(step.bottoms, step.bottom_shapes, step.top_shapes, strict=True):
        x = step.reshape(x, before, _images(before, axis))
        y = step.emit(type, x, *params, **attributes)
        tops.append(step.reshape(y, _images(after, axis), after))
    return tops


def _images(shape: Shape, axis: int) -> Shape:
    """The shape with all axes before `axis` as one, and one of size 1 behind it if it is last."""
    return (math.prod(shape[:axis]), *shape[axis:], *[1] * (axis == len(shape) - 1))


def _axis(step: Step) -> int:
    axis: int = step.layer.spec.convolution_param.axis
    return axis % len(step.bottom_shapes[0])


def _size(step: Step) -> Shape:
    return step.bottom_shapes[0][_axis(step) + 1 :]
