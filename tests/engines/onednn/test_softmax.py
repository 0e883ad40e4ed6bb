"""Softmax plans against the float64 layer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange, check, first, needs_avx512, request


@pytest.fixture(autouse=True)
def fast_backward(engine):
    needs_avx512(engine, "softmax's backward")


def scores(shape):
    return np.random.default_rng(0).standard_normal(shape) * 5


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 40)),
    in_place=st.booleans(),
    axis=st.sampled_from((1, -1)),
)
@settings(max_examples=30, deadline=None)
def test_it_is_the_layer_on_rows(engine, shape, in_place, axis):
    layer = build("Softmax", axis=axis, in_place=in_place)
    plan = check(engine, ops.Softmax(axis), layer, [scores(shape)], [None], in_place=in_place)
    assert plan.bottom_layouts == plan.top_layouts == (None,) and plan.keeps == ("top",)


@given(
    shape=st.tuples(
        st.integers(1, 3), st.sampled_from((3, 16, 21)), st.integers(1, 5), st.integers(1, 5)
    ),
    name=st.sampled_from(sorted(ARRANGEMENTS)),
)
@settings(max_examples=30, deadline=None)
def test_it_is_the_layer_on_the_channels_of_images(engine, shape, name):
    layer = build("Softmax")
    check(engine, ops.Softmax(1), layer, [scores(shape)], [arrange(engine, name, shape)])


def test_it_is_the_layer_on_the_last_of_several_axes(engine):
    layer = build("Softmax", axis=-1)
    check(engine, ops.Softmax(-1), layer, [scores((3, 4, 5))], [None])


def test_large_scores_do_not_overflow(engine):
    x = scores((4, 7)) + 1e4
    check(engine, ops.Softmax(1), build("Softmax"), [x], [None])


def test_plain_images_are_asked_for_with_the_channels_last(engine):
    shape = (2, 21, 5, 6)
    plan = first(engine.plans(ops.Softmax(1), request([np.zeros(shape)], [shape], [None])))
    assert str(plan.bottom_layouts[0]) == str(plan.top_layouts[0]) == "nhwc"


@pytest.mark.parametrize("axis", [0, 2])
def test_it_declines_where_there_is_only_reference_code(engine, axis):
    shape = (4, 5, 6, 7)
    answer = engine.plans(ops.Softmax(axis), request([np.zeros(shape)], [shape], [None]))
    assert isinstance(answer, Declined) and "only reference code" in answer.reason
