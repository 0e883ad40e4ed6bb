"""Every solver type against its formula, on least squares, where the gradient is known.

The net is y = X w + b under EuclideanLoss, so that the gradient over n records is
(X'X w - X't) / n with a column of ones for b. The idea is that of Caffe's own solver tests.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import WeightsError
from minidl.solver.rules import RULES
from tests.places import on
from tests.solver.support import make

N, D = 5, 3
NET = """
name: "least squares"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 5 dim: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0.5 }
  inner_product_param { num_output: 1 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
LR_MULT, DECAY_MULT = np.array([1, 1, 1, 2]), np.array([1, 1, 1, 0.5])


def sgd(w, g, h, rate, t, p):
    (old,) = h
    new = p.momentum * old + rate * g
    return new, [new]


def nesterov(w, g, h, rate, t, p):
    """As in Caffe's source: with the history of before."""
    (old,) = h
    new = p.momentum * old + rate * g
    return (1 + p.momentum) * new - p.momentum * old, [new]


def adagrad(w, g, h, rate, t, p):
    (h,) = h
    h = h + g * g
    return rate * g / (np.sqrt(h) + p.delta), [h]


def rmsprop(w, g, h, rate, t, p):
    (h,) = h
    h = p.rms_decay * h + (1 - p.rms_decay) * g * g
    return rate * g / (np.sqrt(h) + p.delta), [h]


def adadelta(w, g, h, rate, t, p):
    h, d = h
    h = p.momentum * h + (1 - p.momentum) * g * g
    v = g * np.sqrt((d + p.delta) / (h + p.delta))
    d = p.momentum * d + (1 - p.momentum) * v * v
    return rate * v, [h, d]


def adam(w, g, h, rate, t, p):
    m, v = h
    m = p.momentum * m + (1 - p.momentum) * g
    v = p.momentum2 * v + (1 - p.momentum2) * g * g
    unbiased = math.sqrt(1 - p.momentum2**t) / (1 - p.momentum**t)
    return rate * unbiased * m / (np.sqrt(v) + p.delta), [m, v]


FORMULAS = {
    "SGD": (sgd, 1),
    "Nesterov": (nesterov, 1),
    "AdaGrad": (adagrad, 1),
    "RMSProp": (rmsprop, 1),
    "AdaDelta": (adadelta, 2),
    "Adam": (adam, 2),
    "AdamW": (adam, 2),
}
WITHOUT_MOMENTUM = ("AdaGrad", "RMSProp")


def test_every_type_has_its_formula_and_its_histories():
    assert {name: rule.histories for name, rule in RULES.items()} == {
        name: histories for name, (_, histories) in FORMULAS.items()
    }


def by_definition(p, batches, w, steps):
    """Weights (the bias last) and histories after so many updates, in float64.

    batches    (x, t) for each pass; an update takes iter_size of them
    """
    formula, histories = FORMULAS[p.type]
    h = [np.zeros(D + 1) for _ in range(histories)]
    for step in range(steps):
        g = np.zeros(D + 1)
        for x, t in batches[step * p.iter_size : (step + 1) * p.iter_size]:
            x = np.column_stack([x, np.ones(len(x))])
            g += (x.T @ x @ w - x.T @ t) / len(x) / p.iter_size
        penalty = np.sign(w) if p.regularization_type == "L1" else w
        decay, rate = p.weight_decay * DECAY_MULT * penalty, p.base_lr * LR_MULT
        if p.type == "AdamW":
            update, h = formula(w, g, h, rate, step + 1, p)
            w = w - update - rate * decay
        else:
            update, h = formula(w, g + decay, h, rate, step + 1, p)
            w = w - update
    return w, h


def trained(p_text, batches, w, steps, dtype=np.float64):
    """A solver after so many updates, its passes fed with `batches` one after the other."""
    solver = make(p_text, NET, dtype=dtype)
    weight, bias = solver.net.params["ip"]
    weight.data[...], bias.data[...] = w[None, :D], w[D:]
    passes, feed = iter(batches), solver.net.forward_pass

    def forward():
        x, t = next(passes)
        solver.net.blobs["x"].data[...], solver.net.blobs["t"].data[...] = x, t[:, None]
        return feed()

    solver.net.forward_pass = forward
    solver.step(steps)
    return solver


def weights(solver):
    return np.concatenate([p.data.reshape(-1) for p in solver.net.params["ip"]])


def history(solver):
    """The rule's arrays, weight and bias of each in one."""
    arrays = [np.asarray(h).reshape(-1) for h in solver.updater.history]
    return [np.concatenate(pair) for pair in zip(arrays[::2], arrays[1::2], strict=True)]


def fields(name, rate=0.05, momentum=0.0, decay=0.0, kind="L2", iter_size=1, extra=""):
    return (
        f'type: "{name}" lr_policy: "fixed" base_lr: {rate} momentum: {momentum} '
        f'weight_decay: {decay} regularization_type: "{kind}" iter_size: {iter_size} {extra}'
    )


def data(count, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal((N, D)), rng.standard_normal(N)) for _ in range(count)]


momenta = st.sampled_from([0.0, 0.5, 0.9])


@pytest.mark.parametrize("name", FORMULAS)
@given(
    rate=st.sampled_from([1.0, 0.01]),
    momentum=momenta,
    decay=st.sampled_from([0.0, 0.5]),
    kind=st.sampled_from(["L1", "L2"]),
    iter_size=st.integers(1, 3),
    steps=st.integers(1, 4),
    extra=st.sampled_from(["", "delta: 0.1 momentum2: 0.75 rms_decay: 0.5"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=12, deadline=None)
def test_updates_on_least_squares_are_those_of_the_formula(
    name, rate, momentum, decay, kind, iter_size, steps, extra, seed
):
    momentum = 0.0 if name in WITHOUT_MOMENTUM else momentum
    text = fields(name, rate, momentum, decay, kind, iter_size, extra)
    batches, start = data(steps * iter_size, seed), np.array([0.5, -1.0, 0.25, 0.125])
    solver = trained(text, batches, start, steps)
    w, h = by_definition(solver.param, batches, start, steps)
    # float64; where a gradient is nearly zero, Adam's quotient of two small means loses digits
    np.testing.assert_allclose(weights(solver), w, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(history(solver), h, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_halves_of_a_batch_with_iter_size_2_are_the_whole_batch(name):
    """The mean over two parts is the mean over both: EuclideanLoss divides by the batch."""
    momentum, start = (0.0 if name in WITHOUT_MOMENTUM else 0.9), np.zeros(D + 1)
    batches = data(6)
    parts = trained(fields(name, momentum=momentum, decay=0.1, iter_size=2), batches, start, 3)
    pairs = [zip(*batches[i : i + 2], strict=True) for i in (0, 2, 4)]
    joined = [tuple(map(np.concatenate, pair)) for pair in pairs]
    parts.param.iter_size = 1
    w, _ = by_definition(parts.param, joined, start, 3)
    np.testing.assert_allclose(weights(parts), w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_float32_stays_float32(name):
    momentum, start = (0.0 if name in WITHOUT_MOMENTUM else 0.9), np.ones(D + 1)
    batches = data(3)
    solver = trained(fields(name, momentum=momentum, decay=0.1), batches, start, 3, np.float32)
    assert {a.dtype for a in solver.updater.history} == {np.dtype(np.float32)}
    assert {p.data.dtype for p in solver.net.learnable} == {np.dtype(np.float32)}
    w, _ = by_definition(solver.param, batches, start, 3)
    np.testing.assert_allclose(weights(solver), w, rtol=2e-5, atol=2e-5)


def test_adamw_without_decay_is_adam_and_with_it_shrinks_what_has_no_gradient():
    batches, start = data(4), np.array([1.0, -1, 2, 0.5])
    one, other = (
        weights(trained(fields(t, momentum=0.9), batches, start, 4)) for t in ("Adam", "AdamW")
    )
    np.testing.assert_array_equal(one, other)
    nothing = [(np.zeros((N, D)), np.zeros(N))] * 2
    shrunk = weights(trained(fields("AdamW", 0.1, 0.9, 0.25), nothing, start, 2))
    np.testing.assert_allclose(shrunk[:D], start[:D] * (1 - 0.1 * 0.25) ** 2, rtol=1e-7)


def test_the_first_step_of_adam_is_as_long_as_the_rate():
    """What the correction of the bias is for: m / sqrt(v) is the gradient's sign."""
    solver = trained(fields("Adam", 0.125, 0.9), data(1), np.zeros(D + 1), 1)
    np.testing.assert_allclose(abs(weights(solver)), 0.125 * LR_MULT, rtol=1e-4)  # but for delta


@on("cpu", "cuda:0", "cuda:0/numpy")
@pytest.mark.parametrize("name", FORMULAS)
def test_a_run_goes_on_bit_for_bit_from_its_snapshot(name, place, tmp_path):
    momentum = 0.0 if name in WITHOUT_MOMENTUM else 0.9
    text = fields(name, momentum=momentum, decay=0.1) + f' snapshot_prefix: "{tmp_path}/s"'
    whole, first, second = make(text), make(text), make(text)
    whole.step(5)
    first.step(2)
    _, state = first.snapshot()
    read = schema.SolverState.FromString(Path(state).read_bytes())
    shapes = [tuple(p.shape) for p in first.net.learnable]
    found = [tuple(blob.shape.dim) for blob in read.history]
    assert found == shapes * RULES[name].histories  # all firsts, then all seconds
    second.restore(state)
    second.step(3)
    host = whole.net.device.to_host
    for mine, theirs in zip(whole.net.learnable, second.net.learnable, strict=True):
        assert np.array_equal(host(mine.read()), host(theirs.read()))
    for mine, theirs in zip(whole.updater.history, second.updater.history, strict=True):
        assert np.array_equal(host(mine), host(theirs))


def test_a_snapshot_of_another_type_is_refused_by_its_histories(tmp_path):
    adam = make(fields("Adam", momentum=0.9) + f' snapshot_prefix: "{tmp_path}/s"')
    adam.step(1)
    _, state = adam.snapshot()
    with pytest.raises(WeightsError, match="has 8 arrays of history(.|\n)*4: 1 for each"):
        make(fields("SGD")).restore(state)
