"""Concatenation plans against the layer, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange, check, request


def parts(shape, axis, sizes):
    shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    return [np.random.default_rng(i).standard_normal(s) for i, s in enumerate(shapes)]


def check_parts(engine, x, axis, name="plain", **options):
    layouts = [arrange(engine, name, a.shape) for a in x]
    layer = build("Concat", bottoms=len(x), axis=axis)
    return check(engine, ops.Concat(axis), layer, x, layouts, exact=True, **options)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_it_is_the_layer_on_plain_arrays_along_any_axis(engine, data):
    shape = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=5))
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    check_parts(engine, parts(shape, axis, sizes), axis)


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("axis", [0, 1, -3, 2])
def test_it_is_the_layer_in_every_arrangement(engine, name, axis):
    sizes = [16, 48, 32] if axis in (1, -3) else [3, 1, 4]
    x = parts((2, 20, 5, 3), axis % 4, sizes)
    plan = check_parts(engine, x, axis, name)
    assert plan.bottom_layouts == tuple(arrange(engine, name, a.shape) for a in x)
    assert str(plan.top_layouts[0]) == str(plan.bottom_layouts[0])


@pytest.mark.parametrize("name", ["plain", "nhwc", "nhwc bf16"])
def test_channels_last_may_be_of_any_number(engine, name):
    check_parts(engine, parts((2, 1, 5, 3), 1, [3, 20, 1]), 1, name)


@pytest.mark.parametrize("name", ["plain", "nhwc", "nChw16c"])
def test_only_the_gradients_that_are_wanted_are_written(engine, name):
    x = parts((2, 1, 5, 3), 1, [16, 32, 16])
    check_parts(engine, x, 1, name, wanted=[False, True, False])


def test_parts_of_equal_size_are_told_apart(engine):
    check_parts(engine, parts((2, 1, 3, 3), 1, [16, 16, 16]), 1, "nChw16c")


def test_all_bottoms_are_asked_for_as_the_first_that_is_not_plain(engine):
    x = parts((2, 1, 5, 3), 1, [16, 32])
    layouts = [None, arrange(engine, "nChw16c", x[1].shape)]
    layer = build("Concat", bottoms=2)
    plan = check(engine, ops.Concat(1), layer, x, layouts, exact=True)
    assert {str(layout) for layout in (*plan.bottom_layouts, *plan.top_layouts)} == {"nChw16c"}


def test_it_declines_parts_that_begin_within_a_block(engine):
    x = parts((2, 1, 5, 3), 1, [20, 16])
    layouts = [arrange(engine, "nChw16c", a.shape) for a in x]
    answer = engine.plans(ops.Concat(1), request(x, [(2, 36, 5, 3)], layouts))
    assert isinstance(answer, Declined) and "parts of [20, 16]" in answer.reason


def test_the_last_part_may_end_within_one(engine):
    check_parts(engine, parts((2, 1, 5, 3), 1, [16, 20]), 1, "nChw16c")
