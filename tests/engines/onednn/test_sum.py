"""Plans for sums, and for splits' gradients, against the float64 layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.harness import Bound, run_plan
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange, check, first, request


def several(count, shape):
    return [np.random.default_rng(i).standard_normal(shape) for i in range(count)]


def eltwise(weights, in_place=False):
    return build("Eltwise", bottoms=len(weights), operation="SUM", coeff=weights, in_place=in_place)


WEIGHTS = [(1.0, 1.0), (1.0, 1.0, 1.0, 1.0), (1.0, -1.0), (0.5, 2.0, -0.25)]


@given(
    weights=st.sampled_from(WEIGHTS),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple),
    in_place=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_it_is_the_layer_on_plain_arrays(engine, weights, shape, in_place):
    layer = eltwise(weights, in_place)
    x = several(len(weights), shape)
    check(engine, ops.Sum(weights), layer, x, [None] * len(x), in_place=in_place)


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_it_is_the_layer_in_every_arrangement(engine, weights, name):
    x = several(len(weights), (2, 20, 5, 3))
    layout = arrange(engine, name, x[0].shape)
    plan = check(engine, ops.Sum(weights), eltwise(weights), x, [layout] * len(x))
    assert plan.bottom_layouts == (layout,) * len(x)
    assert plan.top_layouts == (layout,)


def test_all_bottoms_are_asked_for_as_the_first_arrives(engine):
    shape = (2, 20, 5, 3)
    layouts = [arrange(engine, "nChw16c", shape), None]
    x = several(2, shape)
    plan = check(engine, ops.Sum((1.0, 1.0)), eltwise((1.0, 1.0)), x, layouts)
    assert plan.bottom_layouts == (layouts[0], layouts[0])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_only_the_gradients_that_are_wanted_are_written(engine, weights):
    x = several(len(weights), (3, 4))
    wanted = [False, *[True] * (len(x) - 1)]
    check(engine, ops.Sum(weights), eltwise(weights), x, [None] * len(x), wanted=wanted)


def test_nothing_is_copied_where_a_gradient_already_is(engine):
    """As in place, with weight 1: the first bottom's gradient is the top's."""
    x = several(2, (3, 4))
    asked = request(x, [(3, 4)], [None, None], wanted=[True, False], in_place=True)
    plan = first(engine.plans(ops.Sum((1.0, 1.0)), asked))
    bound = Bound(plan, x, [(3, 4)], wanted=[True, False], in_place=True)
    _, dx, _ = bound.run([np.ones((3, 4))])
    assert bound.bottom_diff[0] is bound.top_diff[0] and (dx[0] == 1).all()
    assert plan.backwards[0].steps([64], 64) == []


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("tops", [1, 2, 5])
def test_the_gradient_of_a_split_is_the_sum_of_the_tops(engine, tops, name):
    shape = (2, 20, 5, 3)
    layout, dy = arrange(engine, name, shape), several(tops, shape)
    asked = request([dy[0]], [shape] * tops, [layout])
    plan = first(engine.plans(ops.Sum((1.0,) * tops, split=True), asked))
    assert plan.bottom_layouts == (layout,)
    assert plan.top_layouts == (layout,) * tops
    _, dx, _ = run_plan(plan, [dy[0]], [shape] * tops, dy=dy)
    tolerance = 2**-6 if "bf16" in str(layout) else 1e-6
    np.testing.assert_allclose(dx[0], np.sum(dy, axis=0), atol=tolerance * 3)


def test_a_split_does_nothing_forward(engine):
    """Its tops are the bottom's memory; without a gradient there is nothing at all to do."""
    x, shapes = several(1, (3, 4)), [(3, 4)] * 2
    asked = request(x, shapes, [None], backward=False)
    plan = first(engine.plans(ops.Sum((1.0, 1.0), split=True), asked))
    bound = Bound(plan, x, shapes)
    bound.forward()
    assert bound.backward is None and np.isnan(bound.top[1].array).all()


def test_it_declines_more_terms_than_it_weighs_at_once(engine):
    x = several(17, (2, 3))
    weights = (0.5,) * 17
    answer = engine.plans(ops.Sum(weights), request(x, [(2, 3)], [None] * 17))
    assert isinstance(answer, Declined) and "17 weighted terms" in answer.reason


def test_any_number_of_terms_of_weight_one_is_added_up(engine):
    x = several(20, (2, 3))
    check(engine, ops.Sum((1.0,) * 20), eltwise((1.0,) * 20), x, [None] * 20)


def test_a_relu_ends_plain_sums_and_no_others(engine):
    x = several(3, (2, 20, 5, 3))
    relu = ops.Activation("relu")
    asked = request(x, [x[0].shape], [None] * 3)
    plan = first(engine.plans(ops.Sum((1.0,) * 3, then=relu), asked))
    (y,), gradients, _ = Bound(plan, x, [x[0].shape], {}, [True] * 3).run([np.ones(x[0].shape)])
    np.testing.assert_allclose(y, np.maximum(sum(x), 0), rtol=1e-5, atol=1e-6)
    assert all((gradient == 1).all() for gradient in gradients)  # the ReLU's backward is its own
    answer = engine.plans(ops.Sum((1.0, -1.0, 1.0), then=relu), asked)
    assert isinstance(answer, Declined)
