"""From times to rows: which ratio, which spread, which goal."""

from __future__ import annotations

import pytest

from benchmarks.verdict import (
    Faster,
    Floor,
    Memory,
    MemoryRecorded,
    Missing,
    Outcome,
    Rate,
    Seconds,
    Throughput,
    Timed,
    ratio,
)


def outcome(ours: Timed, *rivals: Timed) -> Outcome:
    return Outcome(ours, {rival.name: rival for rival in rivals}, {"gone": "not installed"})


def test_the_ratio_is_that_of_the_medians_the_spread_that_of_the_rounds():
    value, low, high = ratio([2.0, 8.0, 3.0], [1.0, 2.0, 3.0])
    assert value == 3.0 / 2.0
    assert (low, high) == (1.5, 3.0)  # the rounds' ratios are 2, 4 and 1


def test_one_round_has_no_spread():
    assert ratio([3.0], [2.0]) == (1.5, 1.5, 1.5)


@pytest.mark.parametrize(
    ("theirs", "reached"), [(2.5, True), (2.496, True), (2.494, False), (9.0, True)]
)
def test_faster_is_judged_as_it_is_shown(theirs, reached):
    row = Faster("torch", at_least=2.5).judge(outcome(Timed("us", [1.0]), Timed("torch", [theirs])))
    assert (row.found.value, row.reached, row.goal) == (theirs, reached, ">= 2.5")


def test_without_a_goal_nothing_is_reached_or_missed():
    row = Faster("torch").judge(outcome(Timed("us", [1.0]), Timed("torch", [9.0])))
    assert (row.reached, row.goal) == (None, "")


def test_throughput_takes_the_batch_into_account():
    ours, small = Timed("us", [4.2], images=256), Timed("small", [1.0], images=64)
    row = Throughput("small", at_least=0.95).judge(outcome(ours, small))
    assert row.found.value == pytest.approx((256 / 4.2) / (64 / 1.0))
    assert row.reached


def test_the_floor_takes_the_best_rate_of_all_libraries():
    ours = Timed("us", [1.5, 1.8, 1.2], facts={"operations": 300e9})
    slow = Timed("float32 products, a", [1.0], facts={"gflops": 100.0, "library": "a"})
    fast = Timed("float32 products, b", [1.0], facts={"gflops": 300.0, "library": "b"})
    other = Timed("bf16 products, c", [1.0], facts={"gflops": 900.0, "library": "c"})
    row = Floor("float32 products", at_most=1.4).judge(outcome(ours, slow, fast, other))
    assert row.found.value == pytest.approx(1.5)  # of a floor of one second
    assert row.against == "floor 1000 ms: 300 GFLOP at 300 GFLOP/s (b)"
    assert row.reached is False


def test_memory_is_compared_by_its_peaks():
    ours, theirs = (
        Timed("us", [1.0], facts={"peak_bytes": 13e8}),
        Timed("torch", [1.0], facts={"peak_bytes": 20e8}),
    )
    row = Memory("torch", at_most=0.7).judge(outcome(ours, theirs))
    assert (row.found.value, row.reached) == (pytest.approx(0.65), True)
    row = MemoryRecorded("Caffe", 1e9, at_most=1.0).judge(outcome(ours, theirs))
    assert (row.found.value, row.reached) == (pytest.approx(1.3), False)
    assert row.against == "Caffe, 1.00 GB"


def test_seconds_and_bytes_a_second():
    ours = outcome(Timed("us", [0.2, 0.4, 0.1], facts={"bytes": 8e8}))
    assert Seconds(at_most=0.3).judge(ours).found.value == 0.2
    assert Seconds(at_most=0.3).judge(ours).reached
    assert not Seconds(at_most=0.1).judge(ours).reached
    assert Rate().judge(ours).found.value == pytest.approx(4.0)


@pytest.mark.parametrize("goal", [Faster("gone"), Throughput("gone", 1.0), Memory("gone")])
def test_who_did_not_run_is_missing_for_its_own_reason(goal):
    with pytest.raises(Missing, match="not installed"):
        goal.judge(outcome(Timed("us", [1.0])))


def test_a_floor_without_products_and_memory_without_figures_are_missing():
    ours = outcome(Timed("us", [1.0]), Timed("torch", [1.0], facts={"peak_bytes": None}))
    with pytest.raises(Missing, match="no float32 products ran"):
        Floor("float32 products").judge(ours)
    with pytest.raises(Missing, match="does not say how much memory"):
        Memory("torch").judge(ours)
