"""Weighted sums on a GPU, and splits' gradients, against the float64 layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.harness import build
from tests.engines.cupy_kernels.as_layer import check, only, request
from tests.engines.harness import Bound, run_plan

WEIGHTS = st.lists(st.sampled_from([1.0, -1.0, 0.5, 2.0, 0.0]), min_size=2, max_size=9).map(tuple)


def several(count, shape):
    return [np.random.default_rng(i).standard_normal(shape) for i in range(count)]


@given(
    weights=WEIGHTS,
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    in_place=st.booleans(),
)
def test_it_is_the_layer_for_any_number_of_terms(engine, weights, shape, in_place):
    layer = build(
        "Eltwise", bottoms=len(weights), operation="SUM", coeff=weights, in_place=in_place
    )
    check(engine, layer.op, layer, several(len(weights), shape), in_place=in_place)


def test_only_the_gradients_that_are_wanted_are_written(engine):
    layer = build("Eltwise", bottoms=3, operation="SUM", coeff=[2.0, -1.0, 0.5])
    check(engine, layer.op, layer, several(3, (4, 3)), wanted=[False, True, False])


def test_four_terms_take_one_launch_and_each_three_more_another(engine, gpu):
    for terms, launches in [(1, 1), (2, 1), (4, 1), (5, 2), (7, 2), (8, 3)]:
        x = several(terms, (2, 3))
        plan = only(engine.plans(ops.Sum((1.0,) * terms), request(x, [(2, 3)], backward=False)))
        bound = Bound(plan, x, [(2, 3)])
        gpu.reset()
        bound.forward()
        assert gpu.launches == launches


def test_nothing_is_copied_where_a_gradient_already_is(engine, gpu):
    """As in place, with weight 1: the first bottom's gradient is the top's."""
    x = several(2, (3, 4))
    asked = request(x, [(3, 4)], wanted=[True, False], in_place=True)
    bound = Bound(
        only(engine.plans(ops.Sum((1.0, 1.0)), asked)),
        x,
        [(3, 4)],
        wanted=[True, False],
        in_place=True,
    )
    gpu.reset()
    bound.backward()
    assert gpu.launches == 0


@pytest.mark.parametrize("tops", [1, 2, 5])
def test_the_gradient_of_a_split_is_the_sum_of_the_tops(engine, tops):
    shape = (2, 3, 4)
    dy = several(tops, shape)
    op = ops.Sum((1.0,) * tops, split=True)
    plan = only(engine.plans(op, request([dy[0]], [shape] * tops)))
    _, (dx,), _ = run_plan(plan, [dy[0]], [shape] * tops, dy=dy)
    np.testing.assert_allclose(dx, np.sum(dy, axis=0), atol=1e-6)
