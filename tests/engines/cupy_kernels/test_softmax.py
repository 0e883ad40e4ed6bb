"""Softmax on a GPU against the float64 layer, and where scores are not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request


def signed(shape):
    return np.random.default_rng(0).standard_normal(shape) * 3


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple),
    axis=st.integers(0, 4),
    in_place=st.booleans(),
)
def test_it_is_the_layer_along_any_axis(engine, shape, axis, in_place):
    axis = axis % len(shape) - (len(shape) if axis % 2 else 0)
    layer = build("Softmax", axis=axis, in_place=in_place)
    check(engine, layer.op, layer, [signed(shape)], in_place=in_place)


@pytest.mark.parametrize("shape", [(2, 1000), (2, 5, 6, 7)], ids=["many classes", "for each place"])
def test_classes_side_by_side_are_shared_by_a_warp_and_others_walked_by_a_thread(engine, shape):
    layer = build("Softmax", axis=1)
    plan = check(engine, layer.op, layer, [signed(shape)])
    assert plan.algorithm == ("kernel:warps" if len(shape) == 2 else "kernel:threads")


def test_backward_needs_the_top_and_without_it_nothing_is_kept(engine):
    asked = [request([signed((2, 3))], [(2, 3)], backward=back) for back in (True, False)]
    plans = [only(engine.plans(ops.Softmax(1), each)) for each in asked]
    assert [plan.keeps for plan in plans] == [("top",), ()]


@pytest.mark.parametrize("team", ["warps", "threads"])
def test_a_row_is_nan_only_with_a_nan_or_infinity_on_top(team):
    huge, inf, nan = 3e38, np.inf, np.nan
    rows = [
        [huge, -huge, 0],
        [huge, huge, huge],
        [-inf, 0, 0],
        [-inf] * 3,
        [inf, 0, 0],
        [0, nan, 0],
    ]
    x = np.float32(rows)
    y = np.zeros_like(x)
    host.run("softmax", f"forward_by_{team}", len(x), x, y, 3, 1)
    np.testing.assert_allclose(y[:3], [[1, 0, 0], [1 / 3] * 3, [0, 0.5, 0.5]], rtol=1e-6)
    assert np.isnan(y[3:]).all()
