"""The update against Caffe's order of operations written out, element by element."""

import numpy as np
import pytest

from minidl import schema
from minidl.blob import Param
from minidl.device import Device
from minidl.solver import rules

SHAPES = [(5, 3), (7,), (2, 2, 3), ()]


def make(shapes=SHAPES, dtype=np.float64, lr=(1, 2, 0.5, 1), decay=(1, 0, 2, 1)):
    rng = np.random.default_rng(2)
    params = []
    for i, shape in enumerate(shapes):
        param = Param(f"p{i}", shape, Device(), dtype, lr[i], decay[i])
        param.data[...] = rng.standard_normal(shape)
        param.diff[...] = rng.standard_normal(shape)
        params.append(param)
    return params


def by_definition(params, steps, rate, scale, p):
    """W, h and the gradient of every parameter after so many updates with one gradient."""
    found = []
    for param in params:
        w, h = np.array(param.data, np.float64), np.zeros(param.shape)
        for _ in range(steps):
            g = param.diff * scale
            penalty = np.sign(w) if p.regularization_type == "L1" else w
            g = g + p.weight_decay * param.decay_mult * penalty
            h = p.momentum * h + rate * param.lr_mult * g
            w = w - h
        found.append((w, h, np.array(param.diff)))
    return found


CASES = {
    "plain": (1.0, dict()),
    "momentum": (1.0, dict(momentum=0.75)),
    "L2": (1.0, dict(momentum=0.75, weight_decay=0.25)),
    "L1": (1.0, dict(momentum=0.75, weight_decay=0.25, regularization_type="L1")),
    "scaled": (0.3, dict(momentum=0.5)),
    "scaled, L2": (0.3, dict(momentum=0.5, weight_decay=0.25)),
    "scaled, L1": (0.3, dict(weight_decay=0.25, regularization_type="L1")),
    "clipped to nothing": (0.0, dict(momentum=0.5, weight_decay=0.25)),
}


@pytest.mark.parametrize("scale, fields", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("piece", [4, 1 << 15], ids=["in pieces", "whole"])
def test_the_update_is_caffes(monkeypatch, scale, fields, piece):
    monkeypatch.setattr(rules, "PIECE", piece)
    params, p = make(), schema.SolverParameter(**fields)
    expected = by_definition(params, 3, 0.5, scale, p)
    updater = rules.Updater(params, rules.RULES["SGD"])
    for _ in range(3):
        updater.apply(0.5, scale, p)
    for param, h, (w, history, g) in zip(params, updater.history, expected, strict=True):
        np.testing.assert_allclose(param.data, w, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(h, history, rtol=1e-13, atol=1e-15)
        np.testing.assert_array_equal(param.diff, g)  # gradients stay as they are


def test_the_sign_of_zero_is_zero_under_l1():
    (param,) = make([(3,)])
    param.data[...] = [0, -2, 3]
    param.diff[...] = 0
    p = schema.SolverParameter(weight_decay=1, regularization_type="L1")
    rules.Updater([param], rules.RULES["SGD"]).apply(1.0, 1.0, p)
    assert param.data.tolist() == [0, -1, 2]


def test_a_frozen_parameter_stands_still_without_a_look_at_its_gradient():
    params = make(lr=(1, 0, 1, 1))
    params[1].wanted = False
    params[1] = Param("p1", params[1].shape, Device(), np.float64, 0)
    params[1].wanted = False
    before = params[1].data.copy()
    updater = rules.Updater(params, rules.RULES["SGD"])
    updater.apply(0.5, 1.0, schema.SolverParameter(momentum=0.9, weight_decay=0.5))
    np.testing.assert_array_equal(params[1].data, before)
    assert params[1].array("diff") is None  # nobody made it
    assert len(updater.history) == 4  # Caffe's files have an array for it all the same
    assert not updater.history[1].any()


def test_the_norm_is_over_all_gradients_together():
    params = make()
    norm = rules.Updater(params, rules.RULES["SGD"]).gradient_norm()
    together = np.concatenate([p.diff.reshape(-1) for p in params])
    assert norm == pytest.approx(np.linalg.norm(together), rel=1e-14)


def test_new_arrays_are_followed():
    params, p = make(), schema.SolverParameter(momentum=0.5)
    updater = rules.Updater(params, rules.RULES["SGD"])
    updater.apply(0.5, 1.0, p)
    history = updater.history[0].copy()
    params[0].data, params[0].diff = np.zeros((5, 3)), np.ones((5, 3))
    updater.apply(0.5, 1.0, p)
    np.testing.assert_allclose(params[0].data, -(0.5 * history + 0.5), rtol=1e-14)


def test_a_transposed_array_is_taken_in_c_order():
    params, p = make(), schema.SolverParameter(momentum=0.5, weight_decay=0.5)
    values = np.ascontiguousarray(params[0].data.T).T
    expected = by_definition(params, 2, 0.5, 0.7, p)[0][0]
    params[0].use(values)
    updater = rules.Updater(params, rules.RULES["SGD"])
    for _ in range(2):
        updater.apply(0.5, 0.7, p)
    assert params[0].data.flags.c_contiguous
    np.testing.assert_allclose(params[0].data, expected, rtol=1e-13)


def test_float32_parameters_are_updated_in_float32():
    params = make(dtype=np.float32)
    updater = rules.Updater(params, rules.RULES["SGD"])
    updater.apply(0.1, 0.3, schema.SolverParameter(momentum=0.9, weight_decay=0.1))
    assert all(p.data.dtype == np.float32 for p in params)
    assert all(h.dtype == np.float32 for h in updater.history)
