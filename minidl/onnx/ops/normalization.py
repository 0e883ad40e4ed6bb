"""LRN, BatchNorm, BN, MVN, Normalize and Softmax."""

from __future__ import annotations

import numpy as np

from minidl.layers.detection.normalize import EPS as PIXEL_EPS
from minidl.layers.norm import EPS
from minidl.layers.norm_l2 import EPS as ITEM_EPS
from minidl.onnx.graph import Step
from minidl.onnx.table import cannot, exports

TINY = float(np.finfo(np.float32).tiny)  # keeps 0 / 0 away where eps is 0


@exports(
    "LRN", "LRN, whose alpha is divided by the window as Caffe's is; WITHIN_CHANNEL by AveragePool"
)
def lrn(step: Step) -> list[str]:
    op = step.layer.op
    if not op.within:
        return [
            step.emit(
                "LRN", step.x, size=op.size, alpha=op.alpha * op.size, beta=op.beta, bias=op.k
            )
        ]
    square = step.emit("Mul", step.x, step.x)
    mean = step.emit(
        "AveragePool",
        square,
        kernel_shape=[op.size] * 2,
        strides=[1, 1],
        pads=[op.size // 2] * 4,
        count_include_pad=1,  # zeros beyond the border count
    )
    scaled = step.emit("Mul", mean, step.number(op.alpha * op.size**2))
    scale = step.emit("Add", scaled, step.number(op.k))
    return [step.emit("Div", step.x, step.emit("Pow", scale, step.number(op.beta)))]


@exports(
    "BatchNorm",
    "BatchNormalization with the statistics divided by their scale factor, scale 1 and shift 0; "
    "with use_global_stats: false the batch's own mean and variance, by ReduceMean",
)
def batch_norm(step: Step) -> list[str]:
    op, shape = step.layer.op, step.bottom_shapes[0]
    if not op.global_stats:
        return [_by_batch(step, op.eps, len(shape))]
    factor = float(step.read("scale_factor").reshape(-1)[0])
    weight = 1 / factor if factor else 0.0
    mean, variance = (
        step.array(name, step.read(name).astype(np.float64) * weight)
        for name in ("mean", "variance")
    )
    ones, zeros = (step.array(n, np.full(shape[1], v)) for n, v in (("ones", 1), ("zeros", 0)))
    return [step.emit("BatchNormalization", step.x, ones, zeros, mean, variance, epsilon=op.eps)]


def _by_batch(step: Step, eps: float, axes: int) -> str:
    others = [axis for axis in range(axes) if axis != 1]
    mu = step.emit("ReduceMean", step.x, axes=others, keepdims=1)
    centred = step.emit("Sub", step.x, mu)
    square = step.emit("Mul", centred, centred)
    variance = step.emit("ReduceMean", square, axes=others, keepdims=1)
    deviation = step.emit("Sqrt", step.emit("Add", variance, step.number(eps)))
    return step.emit("Div", centred, deviation)


@exports(
    "BN",
    "BatchNormalization for PSPNet's; the batch's own mean and variance, by ReduceMean, Mul and "
    "Add for SegNet's, and Mul and Add alone with bn_mode: INFERENCE",
)
def bn(step: Step) -> list[str]:
    layer, shape = step.layer, step.bottom_shapes[0]
    if len(step.top_shapes) > 1:
        cannot("its tops with the batch's mean and variance are not carried over")
    if layer.moments == "stored":
        names = ("scale", "shift", "mean", "variance")
        params = [step.param(name, shape[1:2]) for name in names]
        return [step.emit("BatchNormalization", step.x, *params, epsilon=layer.eps)]
    by_batch = layer.moments == "batch"
    unit = _by_batch(step, layer.eps, len(shape)) if by_batch else step.x
    scale, shift = (step.param(name, _by_channel(shape)) for name in ("scale", "shift"))
    return [step.emit("Add", step.emit("Mul", unit, scale), shift)]


@exports(
    "Normalize",
    "Div by Sqrt of ReduceSumSquare and eps; Mul by its scale. Where normalize_param says L1, "
    "Div by ReduceL1",
)
def normalize(step: Step) -> list[str]:
    layer, shape = step.layer, step.bottom_shapes[0]
    if layer.spec.HasField("normalize_param"):
        return _normalize_pixels(step)
    axes = list(range(1, len(shape))) if layer.across_spatial else [1]
    square = step.emit("ReduceSumSquare", step.x, axes=axes, keepdims=1)
    length = step.emit("Sqrt", step.emit("Add", square, step.number(layer.eps)))
    scale = step.param("scale", () if layer.channel_shared else _by_channel(shape))
    return [step.emit("Mul", step.emit("Div", step.x, length), scale)]


@exports("Norm", "Div by Sqrt of ReduceSumSquare and 1e-6")
def norm(step: Step) -> list[str]:
    length = step.emit("Sqrt", step.emit("ReduceSumSquare", step.x, axes=[1], keepdims=1))
    return [step.emit("Div", step.x, step.emit("Add", length, step.number(EPS)))]


def _normalize_pixels(step: Step) -> list[str]:
    sums = "ReduceSumSquare" if step.layer.is_square else "ReduceL1"
    length = step.emit("Add", step.emit(sums, step.x, axes=[1], keepdims=1), step.number(PIXEL_EPS))
    if step.layer.is_square:
        length = step.emit("Sqrt", length)
    return [step.emit("Div", step.x, length), length][: len(step.top_shapes)]


@exports("NormL2", "Div by Sqrt of ReduceSumSquare and 1e-7")
def norm_l2(step: Step) -> list[str]:
    axes = list(range(1, len(step.bottom_shapes[0])))
    square = step.emit("ReduceSumSquare", step.x, axes=axes, keepdims=1) if axes else ""
    square = square or step.emit("Mul", step.x, step.x)
    length = step.emit("Sqrt", step.emit("Add", square, step.number(ITEM_EPS)))
    return [step.emit("Div", step.x, length)]


def _by_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape in which numbers of the channels are broadcast over a blob."""
    return (shape[1], *(1 for _ in shape[2:]))


@exports("MVN", "ReduceMean, Sub, and Div by Sqrt of the mean square and eps")
def mvn(step: Step) -> list[str]:
    p, count = step.layer.spec.mvn_param, len(step.bottom_shapes[0])
    axes = list(range(1 if p.across_channels else 2, count))
    if not axes:  # every number is its own mean
        return [step.emit("Sub", step.x, step.x)]
    centred = step.emit("Sub", step.x, step.emit("ReduceMean", step.x, axes=axes, keepdims=1))
    if not p.normalize_variance:
        return [centred]
    square = step.emit("Mul", centred, centred)
    deviation = step.emit("Sqrt", step.emit("ReduceMean", square, axes=axes, keepdims=1))
    divisor = step.emit("Add", deviation, step.number(max(p.eps, TINY)))
    return [step.emit("Div", centred, divisor)]


@exports("Softmax", "Softmax on the same axis")
def softmax(step: Step) -> list[str]:
    return [step.emit("Softmax", step.x, axis=step.layer.class_axis)]


@exports("InfogainLoss", "Softmax for its second top, if it has one")
@exports("SoftmaxWithLoss", "Softmax for its second top, if it has one")
def probabilities_of_a_loss(step: Step) -> list[str | None]:
    return [None, *softmax(step)]
