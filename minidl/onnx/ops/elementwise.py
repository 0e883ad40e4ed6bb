"""Blobs combined element by element: Eltwise, Scale, Bias; and Dropout, which is nothing."""

from __future__ import annotations

from minidl.onnx.graph import Step
from minidl.onnx.table import cannot, exports


@exports("Dropout", "nothing: in TEST it passes its bottom on; Mul where scale_train is false")
def dropout(step: Step) -> list[str]:
    layer = step.layer
    if layer.draws:
        why = "in phase TRAIN" if layer.ctx.training else "where sample_weights_test is set"
        cannot(f"it draws random numbers {why}")
    if layer.scales_up:
        return [step.x]
    return [step.emit("Mul", step.x, step.number(1 - layer.ratio))]


@exports("SpatialDropout", "nothing: in TEST it passes its bottom on; Mul where scale_test is true")
def spatial_dropout(step: Step) -> list[str]:
    layer = step.layer
    if layer.draws:
        cannot("it draws random numbers in phase TRAIN")
    if layer.factor == 1:
        return [step.x]
    return [step.emit("Mul", step.x, step.number(layer.factor))]


@exports("Eltwise", "Sum, Mul or Max; for SUM, Mul by each coeff that is not 1")
def eltwise(step: Step) -> list[str]:
    layer, xs = step.layer, list(step.bottoms)
    if layer.operation == "MAX":
        return [step.emit("Max", *xs)]
    if layer.operation == "PROD":
        product = xs[0]
        for x in xs[1:]:
            product = step.emit("Mul", product, x)
        return [product]
    terms = [
        x if c == 1 else step.emit("Mul", x, step.number(c))
        for x, c in zip(xs, layer.coeff, strict=True)
    ]
    return [step.emit("Sum", *terms)]


@exports("Axpy", "Mul by the weights of the channels, and Add")
def axpy(step: Step) -> list[str]:
    weights, x, other = step.bottoms
    shape, whole = step.bottom_shapes[:2]
    weights = step.reshape(weights, shape, (*whole[:2], *[1] * (len(whole) - 2)))
    return [step.emit("Add", step.emit("Mul", x, weights), other)]


@exports("Scale", "Mul, and Add if it has a bias, broadcast from its axis")
def scale(step: Step) -> list[str]:
    y = step.emit("Mul", step.x, _operand(step, "scale"))
    if step.layer.bias_term:
        y = step.emit("Add", y, step.param("bias", _broadcast(step)))
    return [y]


@exports("Bias", "Add, broadcast from its axis")
def bias(step: Step) -> list[str]:
    return [step.emit("Add", step.x, _operand(step, "bias"))]


def _operand(step: Step, attr: str) -> str:
    """The second bottom or the parameter, with axes of size 1 behind its own."""
    if not step.layer.two_bottoms:
        return step.param(attr, _broadcast(step))
    own, whole = len(step.bottom_shapes[1]), len(_broadcast(step))
    if own == whole:
        return step.bottoms[1]
    return step.emit("Unsqueeze", step.bottoms[1], step.ints("axes", range(own, whole)))


def _broadcast(step: Step) -> tuple[int, ...]:
    """Return the operand's shape, and a 1 for each axis of bottom[0] behind those that it meets."""
    operand = step.layer.operand_shape(*step.bottom_shapes)
    if not operand:
        return ()
    first = step.layer.first_axis % len(step.bottom_shapes[0])
    behind = len(step.bottom_shapes[0]) - first - len(operand)
    return (*operand, *[1] * behind)
