"""Rate policies against their formulas, Caffe's arithmetic and its refusals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import SolverError
from minidl.solver import schedules


def param(policy, **fields):
    return schema.SolverParameter(lr_policy=policy, base_lr=0.25, **fields)


FORMULAS = {
    "fixed": (dict(), lambda i: 0.25),
    "step": (dict(gamma=0.5, stepsize=4), lambda i: 0.25 * 0.5 ** math.floor(i / 4)),
    "exp": (dict(gamma=0.75), lambda i: 0.25 * 0.75**i),
    "inv": (dict(gamma=0.125, power=0.75), lambda i: 0.25 * (1 + 0.125 * i) ** -0.75),
    "multistep": (
        dict(gamma=0.5, stepvalue=[3, 7]),
        lambda i: 0.25 * 0.5 ** ((i >= 3) + (i >= 7)),
    ),
    "poly": (dict(power=2, max_iter=16), lambda i: 0.25 * (1 - i / 16) ** 2),
    "sigmoid": (dict(gamma=-0.5, stepsize=5), lambda i: 0.25 / (1 + math.exp(0.5 * (i - 5)))),
    "cosine": (dict(max_iter=16), lambda i: 0.25 * math.cos(math.pi * i / 32) ** 2),
    "plateau": (dict(gamma=0.5, plateau_winsize=[4]), lambda i: 0.25),  # before the first
}


@pytest.mark.parametrize("policy", FORMULAS)
@pytest.mark.parametrize("iteration", [0, 1, 3, 4, 7, 8, 15, 16])
def test_the_rate_follows_the_formula(policy, iteration):
    fields, formula = FORMULAS[policy]
    rate = schedules.rate(param(policy, **fields), iteration)
    assert rate == pytest.approx(formula(iteration), rel=1e-14, abs=1e-17)


def test_every_policy_has_its_formula():
    assert set(schedules.POLICIES) == set(FORMULAS)


def walk(stepvalues, iterations):
    """Caffe's loop: a counter that advances by at most one in an iteration."""
    step, seen = 0, []
    for i in range(iterations):
        if step < len(stepvalues) and i >= stepvalues[step]:
            step += 1
        seen.append(step)
    return seen


@given(st.lists(st.integers(0, 12), max_size=6))
def test_multistep_is_caffes_counter_in_any_order_of_values(stepvalues):
    assert [schedules.passed(stepvalues, i) for i in range(25)] == walk(stepvalues, 25)


def test_current_step_is_what_caffe_saves():
    step = param("step", gamma=0.5, stepsize=4)
    assert [schedules.current_step(step, i) for i in (0, 3, 4, 11)] == [0, 0, 1, 2]
    multi = param("multistep", gamma=0.5, stepvalue=[3, 7])
    assert [schedules.current_step(multi, i) for i in (0, 3, 7)] == [0, 1, 2]
    assert schedules.current_step(param("exp", gamma=0.5), 9) == 0


@pytest.mark.parametrize(
    "policy, near", [("steps", "step"), ("Poly", "poly"), ("mulitstep", "multistep")]
)
def test_an_unknown_policy_names_the_nearest(policy, near):
    with pytest.raises(SolverError, match=rf"unknown lr_policy '{policy}'(.|\n)*'{near}'"):
        schedules.rate(param(policy), 0)


def test_a_missing_policy_lists_all():
    with pytest.raises(SolverError, match="lr_policy is missing(.|\n)*fixed, step, exp, inv"):
        schedules.rate(schema.SolverParameter(base_lr=1), 0)


NOT_FINITE = {
    "overflow": ("exp", dict(gamma=10), 4000),
    "a root of a negative number": ("inv", dict(gamma=-1, power=0.5), 5),
    "division by zero": ("inv", dict(gamma=-1, power=1), 1),
    "NaN": ("fixed", dict(), 0),
}


@pytest.mark.parametrize("policy, fields, iteration", NOT_FINITE.values(), ids=NOT_FINITE.keys())
def test_a_rate_that_is_no_number_is_refused(policy, fields, iteration):
    p = param(policy, **fields)
    if not fields:
        p.base_lr = math.nan
    with pytest.raises(SolverError, match=f"rate of iteration {iteration} is (inf|nan)"):
        schedules.rate(p, iteration)


def test_a_rate_is_shown_where_poly_has_ended():
    p = param("poly", power=-0.5, max_iter=10)  # whose rate at 10 is infinite
    assert [schedules.shown(p, i) for i in (10, 11, 99)] == [0, 0, 0]
    assert schedules.shown(p, 9) == schedules.rate(p, 9) != 0
    fixed = param("fixed", max_iter=10)
    assert schedules.shown(fixed, 99) == fixed.base_lr


def test_poly_ends_at_max_iter():
    p = param("poly", power=0.5, max_iter=10)
    assert schedules.rate(p, 10) == 0
    with pytest.raises(SolverError, match=r"no rate for iteration 11: it ends at 10"):
        schedules.rate(p, 11)


def test_poly_and_cosine_end_at_min_lr():
    for policy, fields in (("poly", dict(power=2)), ("cosine", {})):
        p = param(policy, max_iter=8, min_lr=0.125, **fields)
        assert schedules.rate(p, 0) == 0.25
        assert schedules.rate(p, 8) == schedules.shown(p, 8) == schedules.shown(p, 9) == 0.125
        part = {"poly": 0.25, "cosine": 0.5}[policy]  # of the way, half the iterations on
        assert schedules.rate(p, 4) == pytest.approx(0.125 + 0.125 * part, rel=1e-14)
        with pytest.raises(
            SolverError, match=f'"{policy}" has no rate for iteration 9: it ends at 8'
        ):
            schedules.rate(p, 9)
    inv = param("inv", gamma=1, power=1, min_lr=0.125)
    assert schedules.rate(inv, 99) == 0.0025


def test_a_rate_warms_up_evenly_and_its_policy_takes_over_where_it_would_have_been():
    fields = dict(gamma=0.5, stepsize=2)
    p = param("step", warmup_iter=4, warmup_start_lr=0.05, **fields)
    rates = [schedules.rate(p, i) for i in range(8)]
    assert rates[:4] == pytest.approx([0.05, 0.1, 0.15, 0.2], rel=1e-7)
    assert rates[4:] == [schedules.rate(param("step", **fields), i) for i in range(4, 8)]
    from_nothing = param("fixed", warmup_iter=2)
    assert [schedules.rate(from_nothing, i) for i in range(4)] == [0, 0.125, 0.25, 0.25]


def test_a_rate_ramps_up_with_the_square_of_the_iteration():
    p = param("step", gamma=0.5, stepsize=2, rampup_interval=4, rampup_lr=0.05)
    expected = [0.05, 0.05 + 0.2 / 16, 0.05 + 0.2 * 4 / 16, 0.05 + 0.2 * 9 / 16, 0.0625]
    assert [schedules.rate(p, i) for i in range(5)] == pytest.approx(expected, rel=1e-7)


def test_each_plateau_multiplies_by_gamma():
    p = param("plateau", gamma=0.5, plateau_winsize=[4, 4])
    assert [schedules.rate(p, 9, count) for count in range(3)] == [0.25, 0.125, 0.0625]
    assert schedules.shown(p, 9, 2) == 0.0625
    assert schedules.current_step(p, 9, 2) == 2
    assert schedules.rate(param("fixed"), 9, 2) == 0.25
