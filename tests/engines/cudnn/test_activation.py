"""cuDNN's activations against the float64 layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.harness import build
from tests.engines.cudnn.as_layer import ARRANGEMENTS, check, reason

TYPES = {"ReLU": "top sign", "Sigmoid": "top", "TanH": "top"}


@given(
    kind=st.sampled_from(sorted(TYPES)),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple),
    in_place=st.booleans(),
)
def test_it_is_the_layer_on_any_shape_in_place_or_not(engine, kind, shape, in_place):
    layer = build(kind, in_place=in_place)
    x = np.random.default_rng(0).standard_normal(shape)
    x.reshape(-1)[0] = 0  # where a ReLU's gradient is 0
    plan = check(engine, layer.op, layer, x, in_place=in_place)
    assert plan.keeps == (TYPES[kind],)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_it_stays_in_the_order_in_which_the_bottom_arrives(engine, kind, name):
    shape, layer = (2, 5, 3, 4), build(kind)
    x = np.random.default_rng(0).standard_normal(shape)
    plan = check(engine, layer.op, layer, x, ARRANGEMENTS[name](shape))
    assert plan.bottom_layouts == plan.top_layouts == (ARRANGEMENTS[name](shape),)


def test_a_relu_hands_on_nan(engine):
    layer = build("ReLU")
    x = np.array([[1.0, np.nan, -2.0]])
    check(engine, layer.op, layer, x, backward=False, exact=True)


def test_it_declines_a_relu_with_a_slope(engine):
    assert "no slope; this one's is 0.1" in reason(engine, ops.Activation("relu", 0.1), (2, 3))
