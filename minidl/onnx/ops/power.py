"""Powers, exponentials and logarithms of a linear function: Power, Exp, Log."""

from __future__ import annotations

import numpy as np

from minidl.onnx.graph import Step
from minidl.onnx.table import exports


@exports("Power", "Mul, Add and Pow, as far as scale, shift and power need them")
def power(step: Step) -> list[str]:
    layer = step.layer
    if layer.is_constant:  # for any values of the bottom, NaN included
        shape = step.emit("Shape", step.x)
        value = np.float32(1 if layer.power == 0 else layer.constant)
        return [step.emit("ConstantOfShape", shape, value=np.array([value]))]
    y = _linear(step, layer.scale, layer.shift)
    if layer.power != 1:
        y = step.emit("Pow", y, step.number(layer.power))
    return [y]


@exports("Exp", "Exp, after Mul and Add as far as base, scale and shift need them")
def exp(step: Step) -> list[str]:
    factor = _log_base(step.layer.spec.exp_param.base)
    p = step.layer.spec.exp_param
    return [step.emit("Exp", _linear(step, p.scale * factor, p.shift * factor))]


@exports("Log", "Log, after Mul and Add as far as scale and shift need them, and Mul for its base")
def log(step: Step) -> list[str]:
    p = step.layer.spec.log_param
    y = step.emit("Log", _linear(step, p.scale, p.shift))
    factor = 1 / _log_base(p.base)
    return [y if factor == 1 else step.emit("Mul", y, step.number(factor))]


def _linear(step: Step, scale: float, shift: float) -> str:
    """shift + scale * x"""
    y = step.x
    if scale != 1:
        y = step.emit("Mul", y, step.number(scale))
    if shift != 0:
        y = step.emit("Add", y, step.number(shift))
    return y


def _log_base(base: float) -> float:
    """Return the natural logarithm of Caffe's base, where -1 stands for e."""
    return 1.0 if base == -1 else float(np.log(base))
