"""RNN, LSTM and LSTMUnit, step by step.

ONNX's own RNN and LSTM have no input that restarts a sequence in the middle, as Caffe's `cont`
does, and RNN gives its hidden state where Caffe gives a function of it. So the steps of a net,
whose number is known, are written one after the other: with any `cont` they are the layer's.
"""

from __future__ import annotations

import math

from minidl.onnx.graph import Step
from minidl.onnx.table import cannot, exports

FORGETS = (
    "begins each run with states of zero, as the net begins its first pass: a model keeps nothing "
    "from run to run. With expose_hidden: true the states are bottoms and tops"
)


@exports(
    "RNN", "Gemm for the inputs of all steps; for each step Mul by its cont, Gemm, Add and Tanh"
)
def rnn(step: Step) -> list[str]:
    steps, count, size = step.top_shapes[0]
    sums, going_on = _inputs(step)
    (h,) = _first_states(step, 1)
    hidden = []
    for z, cont in zip(sums, going_on, strict=True):
        h = step.emit("Tanh", _with_state(step, z, h, cont))
        hidden.append(h)
    rows = step.emit("Concat", *hidden, axis=0)
    y = step.emit("Gemm", rows, step.param("W_ho"), step.param("b_o"), transB=1)
    o = step.reshape(step.emit("Tanh", y), (steps * count, size), (steps, count, size))
    return [o, *_last_states(step, hidden[-1])]


@exports(
    "LSTM",
    "Gemm for the inputs of all steps; for each step Mul by its cont, Gemm, Split, Sigmoid, Tanh, "
    "Mul and Add",
)
def lstm(step: Step) -> list[str]:
    steps, count, size = step.top_shapes[0]
    sums, going_on = _inputs(step)
    h, c = _first_states(step, 2)
    hidden = []
    for z, cont in zip(sums, going_on, strict=True):
        z = _with_state(step, z, h, cont)
        c, h = _cell(step, z, step.emit("Mul", c, cont) if c else "", size, axis=1)
        hidden.append(h)
    rows = step.emit("Concat", *hidden, axis=0)
    y = step.reshape(rows, (steps * count, size), (steps, count, size))
    return [y, *_last_states(step, h, c)]


@exports(
    "Lstm",
    "Gemm for the inputs of all steps; for each step Gemm, Split, Sigmoid, Tanh, Mul and Add. "
    "Refused with a second bottom",
)
def lstm_ctpn(step: Step) -> list[str]:
    if len(step.bottoms) > 1:
        cannot("its states go from pass to pass, and a model keeps nothing")
    shape, (steps, count, size) = step.bottom_shapes[0], step.top_shapes[0]
    x = step.reshape(step.x, shape, (steps * count, math.prod(shape[2:])))
    z = step.emit("Gemm", x, step.param("W_xc"), step.param("b_c"), transB=1)
    h, c, hidden = "", "", []
    for sums in step.emit_all("Split", steps, z, step.ints("steps", [count] * steps), axis=0):
        if h:
            sums = step.emit("Gemm", h, step.param("W_hc"), sums, transB=1)
        c, h = _cell(step, sums, c, size, axis=1)
        hidden.append(h)
    rows = step.emit("Concat", *hidden, axis=0)
    return [step.reshape(rows, (steps * count, size), (steps, count, size))]


@exports("LSTMUnit", "Mul by its cont, Split, Sigmoid, Tanh, Mul and Add")
def lstm_unit(step: Step) -> list[str]:
    _, count, size = step.bottom_shapes[0]
    cont = step.reshape(step.bottoms[2], (1, count), (1, count, 1))
    return list(_cell(step, step.bottoms[1], step.emit("Mul", step.x, cont), size, axis=2))


def _cell(step: Step, z: str, before: str, size: int, axis: int) -> tuple[str, str]:
    """Cells and hidden state after a step. `before`: the cells before it, times cont; '' for 0."""
    sigmoids, g = step.emit_all("Split", 2, z, step.ints("gates", [3 * size, size]), axis=axis)
    each = step.ints("gate", [size] * 3)
    i, f, o = step.emit_all("Split", 3, step.emit("Sigmoid", sigmoids), each, axis=axis)
    c = step.emit("Mul", i, step.emit("Tanh", g))
    if before:
        c = step.emit("Add", step.emit("Mul", f, before), c)
    return c, step.emit("Mul", o, step.emit("Tanh", c))


def _inputs(step: Step) -> tuple[list[str], list[str]]:
    """Return the terms of x and x_static in each step's sums, (N, sums), and its cont, (N, 1)."""
    layer, (shape, (steps, count), *others) = step.layer, step.bottom_shapes
    weight, bias, static_weight = layer.input_to
    x = step.reshape(step.x, shape, (steps * count, math.prod(shape[2:])))
    z = step.emit("Gemm", x, step.param(weight), step.param(bias), transB=1)
    cont = step.reshape(step.bottoms[1], (steps, count), (steps * count, 1))
    parts = step.ints("steps", [count] * steps)
    sums, going_on = (step.emit_all("Split", steps, v, parts, axis=0) for v in (z, cont))
    if layer.has_static:
        shape = others[0]
        static = step.reshape(step.bottoms[2], shape, (count, math.prod(shape[1:])))
        same = step.emit("Gemm", static, step.param(static_weight), transB=1)
        sums = [step.emit("Add", z, same) for z in sums]
    return sums, going_on


def _with_state(step: Step, z: str, h: str, cont: str) -> str:
    """The sums `z` of a step and what the hidden state before it adds; '' is a state of 0."""
    weight = "W_hh" if step.layer.width == 1 else "W_hc"
    if not h:
        return z
    before = step.emit("Mul", h, cont)
    return step.emit("Gemm", before, step.param(weight), z, transB=1)


def _first_states(step: Step, number: int) -> list[str]:
    """The states before the first step, (N, H) each; '' for 0."""
    if not step.layer.exposed:
        step.note(FORGETS)
        return [""] * number
    given = list(zip(step.bottoms, step.bottom_shapes, strict=True))[-number:]
    return [step.reshape(value, shape, shape[1:]) for value, shape in given]


def _last_states(step: Step, *states: str) -> list[str]:
    tops = step.top_shapes[1:]
    pairs = zip(states, tops, strict=False)
    return [step.reshape(state, shape[1:], shape) for state, shape in pairs]
