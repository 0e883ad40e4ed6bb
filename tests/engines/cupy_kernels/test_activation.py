"""Activations on a GPU against the float64 layers, and where float32 has no number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)
CASES = [("ReLU", {}), ("ReLU", {"negative_slope": 0.25}), ("ReLU", {"negative_slope": 3.0})]
CASES += [("Sigmoid", {}), ("TanH", {})]


def signed(shape):
    return np.random.default_rng(0).standard_normal(shape) * 3


@pytest.mark.parametrize("kind, fields", CASES)
@given(shape=SHAPES, in_place=st.booleans())
def test_it_is_the_layer_in_place_or_not(engine, kind, fields, shape, in_place):
    layer = build(kind, in_place=in_place, **fields)
    check(engine, layer.op, layer, [signed(shape)], in_place=in_place)


def test_a_negative_slope_looks_at_the_bottom(engine):
    layer = build("ReLU", negative_slope=-0.5)
    plan = check(engine, layer.op, layer, [signed((3, 5))])
    assert plan.keeps == ("bottom",)


def test_backward_looks_at_the_top_which_may_be_the_bottom(engine):
    plans = [
        only(engine.plans(ops.Activation(kind), request([signed((2, 3))], [(2, 3)])))
        for kind in ("relu", "sigmoid", "tanh")
    ]
    assert [plan.keeps for plan in plans] == [("top sign",), ("top",), ("top",)]
    assert all(plan.saved == plan.workspace == 0 for plan in plans)


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_relu_hands_nan_on_and_makes_no_new_ones(slope):
    x = np.float32([np.nan, -np.inf, np.inf, -0.0, 0.0, -2])
    y = np.zeros_like(x)
    host.run("activation", "relu_forward", x.size, x, y, slope)
    np.testing.assert_array_equal(y, [np.nan, slope and -np.inf, np.inf, 0, 0, -2 * slope])
    dx = np.zeros_like(x)
    host.run("activation", "relu_backward", x.size, y, np.ones_like(x), dx, slope)
    np.testing.assert_array_equal(dx, [slope, slope, 1, slope, slope, slope])


@pytest.mark.parametrize("name, limits", [("sigmoid", (0, 1)), ("tanh", (-1, 1))])
def test_squashing_does_not_overflow(name, limits):
    x = np.float32([-1e30, 1e30])
    y = np.zeros_like(x)
    host.run("activation", f"{name}_forward", x.size, x, y)
    np.testing.assert_array_equal(y, limits)
