"""InnerProduct and Reduction: many numbers to one."""

from __future__ import annotations

from minidl.onnx.graph import Step
from minidl.onnx.table import exports


@exports(
    "InnerProduct",
    "Flatten from its axis on, Gemm, and Reshape where axes are left before it; with normalize, "
    "weights divided by their length",
)
def inner_product(step: Step) -> list[str]:
    op, shape = step.layer.gemm, step.bottom_shapes[0]
    axis, x = op.axis % len(shape), step.x
    if (axis, len(shape)) != (1, 2):
        x = step.emit("Flatten", x, axis=axis)
    weight = step.param("weight")
    if step.layer.normalizes:
        square = step.emit("Mul", weight, weight)
        total = step.emit("ReduceSum", square, step.ints("axes", [1]), keepdims=1)
        length = step.emit("Sqrt", step.emit("Add", total, step.number(1e-6)))
        weight = step.emit("Div", weight, length)
    bias = [step.param("bias")] if op.bias else []
    y = step.emit("Gemm", x, weight, *bias, transB=int(not op.transpose))
    rows = 1
    for extent in shape[:axis]:
        rows *= extent
    return [step.reshape(y, (rows, op.num_output), step.top_shapes[0])]


@exports("Reduction", "ReduceSum, ReduceL1, ReduceSumSquare or ReduceMean, and Mul by coeff")
def reduction(step: Step) -> list[str]:
    layer, count = step.layer, len(step.bottom_shapes[0])
    axes = list(range(layer.start % count, count))
    if layer.operation == "SUM":  # from opset 13 on it takes its axes as an input
        y = step.emit("ReduceSum", step.x, step.ints("axes", axes), keepdims=0)
    else:
        types = {"ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}
        y = step.emit(types[layer.operation], step.x, axes=axes, keepdims=0)
    return [y if layer.coeff == 1 else step.emit("Mul", y, step.number(layer.coeff))]
