"""One curve in little memory, against a list of all its points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.web import series
from minidl.web.series import Point, Series

VALUES = st.one_of(st.floats(-1e6, 1e6, allow_subnormal=False), st.just(math.nan))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(series, "LIMIT", 8)


def made(values):
    points = [Point(10 * i, float(i), value) for i, value in enumerate(values)]
    found = Series()
    for i, point in enumerate(points):
        found.add(point, at=100 * i)
    return found, points


def same(ours, theirs):
    return repr(list(ours)) == repr(list(theirs))  # NaN equals NaN


@given(st.lists(VALUES, max_size=8))
def test_few_points_are_kept_as_they_are(values):
    found, points = made(values)
    assert same(found.points(1000), points)


@given(st.lists(VALUES, min_size=1, max_size=200), st.integers(2, 40))
def test_every_point_drawn_is_one_of_the_run_and_in_order(values, most):
    found, points = made(values)
    drawn = list(found.points(most))
    known = {(p.iter, p.time, repr(p.value)) for p in points}
    assert all((p.iter, p.time, repr(p.value)) in known for p in drawn)
    assert [p.iter for p in drawn] == sorted({p.iter for p in drawn})


@given(st.lists(VALUES, min_size=1, max_size=200), st.integers(2, 40))
def test_no_peak_is_lost(values, most):
    found, points = made(values)
    numbers = [p.value for p in points if p.value == p.value]
    drawn = [p.value for p in found.points(most) if p.value == p.value]
    assert bool(numbers) == (found.extremes() is not None)
    if numbers:
        low, high = found.extremes()
        assert (low.value, high.value) == (min(numbers), max(numbers))
        assert (min(drawn), max(drawn)) == (min(numbers), max(numbers))


@given(st.lists(VALUES, min_size=1, max_size=300))
def test_the_last_point_is_always_drawn(values):
    found, points = made(values)
    assert same([list(found.points(6))[-1]], [points[-1]])


@given(st.lists(VALUES, min_size=1, max_size=300), st.integers(2, 30))
def test_there_are_hardly_more_points_than_asked_for(values, most):
    found, _ = made(values)
    assert len(list(found.points(most))) <= most + 3
    assert len(found) <= series.LIMIT


@given(st.lists(VALUES, max_size=60), st.integers(-10, 700), st.integers(-10, 700))
def test_a_part_holds_the_points_of_its_iterations_alone(values, low, high):
    found, points = made(values)
    drawn = list(found.points(1000, low, high))
    assert all(low <= p.iter <= high for p in drawn)
    if found.every == 1:
        assert same(drawn, [p for p in points if low <= p.iter <= high])


@given(st.lists(VALUES, max_size=60), st.integers(-1, 700), st.lists(VALUES, max_size=20))
def test_after_a_rewind_nothing_of_what_was_forgotten_is_left(values, iteration, more):
    found, points = made(values)
    exact = found.every == 1
    found.rewind(iteration)
    assert all(p.iter <= iteration for p in found.points(1000))
    kept = [p for p in points if p.iter <= iteration]
    if exact:
        assert same(found.points(1000), kept)
    assert not len(found) or kept
    begin = iteration + 1
    for i, value in enumerate(more):
        found.add(Point(begin + i, 0.0, value))
    numbers = [v for v in more if v == v]
    drawn = [p for p in found.points(1000) if p.value == p.value]
    largest = max((p.value for p in drawn if p.iter >= begin), default=None)
    # Of a bucket that begins before, an older point that is as large may stand for it.
    older = [] if found.every == 1 else [p.value for p in drawn if p.iter < begin][-2:]
    assert not numbers or largest == max(numbers) or max(older, default=-1e300) >= max(numbers)


def test_buckets_know_the_byte_of_their_first_line():
    found, _ = made(range(20))
    assert found.every == 4
    assert list(found.columns["at"]) == [0, 400, 800, 1200, 1600]
    assert list(found.columns["first"]) == [0, 40, 80, 120, 160]
