"""Layers whose numbers are places: ArgMax, TopK, Embed, BatchReindex, Filter."""

from __future__ import annotations

import math

import numpy as np

from minidl.onnx.graph import Step
from minidl.onnx.table import cannot, exports

END = -(2**63) + 1  # before the first element, for a Slice that goes backward


@exports(
    "ArgMax",
    "TopK of the reversed axis, so that of equal numbers the later comes first, as in Caffe",
)
def argmax(step: Step) -> list[str]:
    p, shape = step.layer.spec.argmax_param, step.bottom_shapes[0]
    whole = not p.HasField("axis")
    axis, count = (1, math.prod(shape[1:])) if whole else (p.axis % len(shape), 0)
    count = count or shape[axis]
    x = step.reshape(step.x, shape, (shape[0], count)) if whole else step.x
    back = [step.ints(n, [v]) for n, v in (("start", -1), ("end", END), ("along", axis))]
    turned = step.emit("Slice", x, *back, step.ints("step", [-1]))
    values, places = step.emit_all("TopK", 2, turned, step.ints("k", [p.top_k]), axis=axis)
    places = step.emit("Sub", step.ints("last", [count - 1]), places)
    places = step.emit("Cast", places, to="float32")
    if not whole:
        return [values if p.out_max_val else places]
    if p.out_max_val:
        places = step.emit("Concat", places, values, axis=1)
    return [step.reshape(places, (shape[0], (1 + p.out_max_val) * p.top_k), step.top_shapes[0])]


@exports("TopK", "TopK, and ScatterElements into zeros")
def top_k(step: Step) -> list[str]:
    shape = step.bottom_shapes[0]
    rows = (shape[0], math.prod(shape[1:]))
    x = step.reshape(step.x, shape, rows)
    values, places = step.emit_all("TopK", 2, x, step.ints("k", [step.layer.k]), axis=1)
    y = step.emit("ScatterElements", step.emit("Sub", x, x), places, values, axis=1)
    return [step.reshape(y, rows, shape)]


@exports("Embed", "Gather of its weights, and Add of its bias")
def embed(step: Step) -> list[str]:
    y = step.emit("Gather", step.param("weight"), step.emit("Cast", step.x, to="int64"), axis=0)
    return [step.emit("Add", y, step.param("bias")) if step.layer.spec.embed_param.bias_term else y]


@exports("BatchReindex", "Gather along the batch")
def batch_reindex(step: Step) -> list[str]:
    index = step.emit("Cast", step.bottoms[1], to="int64")
    return [step.emit("Gather", step.x, index, axis=0)]


@exports(
    "Filter",
    "with a filter_param Gather of the channels that its mask keeps; else refused: how many items "
    "its tops have depends on what they are",
)
def filter_(step: Step) -> list[str]:
    p = step.layer.spec.filter_param
    if not step.layer.spec.HasField("filter_param"):
        cannot("how many items its tops have depends on what they are")
    kept = step.ints("kept", np.flatnonzero(step.read("mask")).tolist())
    return [
        step.emit("Gather", x, kept, axis=p.axis % len(shape))
        for x, shape in zip(step.bottoms, step.bottom_shapes, strict=True)
    ]
