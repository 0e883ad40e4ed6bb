"""Functions of one number: ReLU and its kin, Sigmoid and its kin, AbsVal, Clip, Threshold."""

from __future__ import annotations

from minidl.onnx.graph import Step
from minidl.onnx.table import exports


def _of_one_operator(type: str, operator: str) -> None:
    """Let a layer type become one operator, without attributes."""

    @exports(type, operator)
    def emit(step: Step) -> list[str]:
        return [step.emit(operator, step.x)]


_of_one_operator("Sigmoid", "Sigmoid")
_of_one_operator("TanH", "Tanh")
_of_one_operator("BNLL", "Softplus")
_of_one_operator("AbsVal", "Abs")
_of_one_operator("HardSwish", "HardSwish")


@exports("ReLU", "Relu, or LeakyRelu with its negative_slope")
def relu(step: Step) -> list[str]:
    slope = step.layer.negative_slope
    if slope == 0:
        return [step.emit("Relu", step.x)]
    return [step.emit("LeakyRelu", step.x, alpha=slope)]


@exports("PReLU", "PRelu, its slopes broadcast from the channels")
def prelu(step: Step) -> list[str]:
    slopes, axes = step.read("slope"), len(step.bottom_shapes[0])
    shape = (slopes.size, *[1] * (axes - 2)) if slopes.ndim else ()
    return [step.emit("PRelu", step.x, step.param("slope", shape))]


@exports("ELU", "Elu")
def elu(step: Step) -> list[str]:
    return [step.emit("Elu", step.x, alpha=step.layer.spec.elu_param.alpha)]


@exports("Swish", "Mul by Sigmoid of the same, scaled by beta")
def swish(step: Step) -> list[str]:
    beta, inner = step.layer.spec.swish_param.beta, step.x
    if beta != 1:
        inner = step.emit("Mul", inner, step.number(beta))
    return [step.emit("Mul", step.x, step.emit("Sigmoid", inner))]


@exports("Clip", "Clip")
def clip(step: Step) -> list[str]:
    p = step.layer.spec.clip_param
    return [step.emit("Clip", step.x, step.array("min", p.min), step.array("max", p.max))]


@exports("Threshold", "Greater, as 0 and 1")
def threshold(step: Step) -> list[str]:
    limit = step.number(step.layer.spec.threshold_param.threshold)
    return [step.emit("Cast", step.emit("Greater", step.x, limit), to="float32")]


@exports("ReLU6", "Clip from 0 to 6")
def relu6(step: Step) -> list[str]:
    return [step.emit("Clip", step.x, step.array("min", 0), step.array("max", 6))]
