"""cuDNN's softmax against the float64 layer, along any axis."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.testing.harness import build
from tests.engines.cudnn.as_layer import ARRANGEMENTS, check


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple),
    pick=st.floats(0, 0.999),
    in_place=st.booleans(),
)
def test_it_is_the_layer_along_any_axis(engine, shape, pick, in_place):
    layer = build("Softmax", axis=int(pick * len(shape)) - len(shape), in_place=in_place)
    x = 3 * np.random.default_rng(0).standard_normal(shape)
    plan = check(engine, layer.op, layer, x, in_place=in_place)
    assert plan.keeps == ("top",)


def test_large_scores_do_not_overflow(engine):
    layer = build("Softmax")
    check(engine, layer.op, layer, np.array([[1000.0, 1001, -1000], [-500, -500, -501]]))


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_classes_in_the_channels_of_images_stay_where_they_lie(engine, name):
    shape, layer = (2, 5, 3, 4), build("Softmax")
    x, layout = np.random.default_rng(0).standard_normal(shape), ARRANGEMENTS[name](shape)
    plan = check(engine, layer.op, layer, x, layout)
    assert plan.bottom_layouts == plan.top_layouts == (layout,)


def test_along_another_axis_channels_last_are_asked_for_in_c_order(engine):
    shape, layer = (2, 5, 3, 4), build("Softmax", axis=2)
    x = np.random.default_rng(0).standard_normal(shape)
    plan = check(engine, layer.op, layer, x, ARRANGEMENTS["nhwc"](shape))
    assert plan.bottom_layouts == plan.top_layouts == (None,)
