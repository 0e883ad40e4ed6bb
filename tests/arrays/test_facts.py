"""Figures of an array against plain loops, with and without numbers that are none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.arrays.facts import facts, histogram

numbers = st.lists(st.floats(-1e6, 1e6, width=32) | st.just(0.0), min_size=1, max_size=12)


@given(numbers)
def test_they_are_those_of_the_definition(values):
    found = facts(np.array(values, np.float32))
    exact = [float(np.float32(v)) for v in values]
    mean = math.fsum(exact) / len(exact)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in exact) / len(exact))
    assert found.shape == (len(values),)
    assert found.mean == pytest.approx(mean, rel=1e-9, abs=1e-6)
    assert found.std == pytest.approx(deviation, rel=1e-6, abs=1e-3)
    assert (found.least, found.most) == (min(exact), max(exact))
    assert found.zeros == pytest.approx(sum(v == 0 for v in exact) / len(exact))
    assert found.bad == 0


def test_bad_numbers_are_counted_and_the_rest_described():
    found = facts(np.array([1.0, np.nan, 3.0, np.inf, -np.inf]))
    assert (found.bad, found.mean, found.least, found.most) == (3, 2.0, 1.0, 3.0)
    assert math.isnan(facts(np.array([np.nan])).mean)


def test_idle_rows_lie_along_an_axis():
    values = np.ones((2, 3, 4))
    values[:, 1] = 0
    assert facts(values, 1).idle == 1 and facts(values, 0).idle == 0
    assert facts(np.zeros(3)).idle == 0, "a bias has no rows"
    assert facts(np.zeros((1, 3)), 1).idle == 3, "scores that are all 0"
    assert facts(np.float32(0)).idle == 0 and facts(np.zeros((0, 3))).zeros == 0


@given(numbers)
def test_every_finite_value_is_in_one_bin(values):
    counts, edges = histogram([*values, np.nan, np.inf], 7)
    assert counts.sum() == len(values) and len(edges) == len(counts) + 1
    assert edges[0] <= min(values) and edges[-1] >= max(values)
