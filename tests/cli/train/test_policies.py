"""--policy: what is read, and what becomes of percentages."""

import argparse

import pytest

from minidl import schema
from minidl.cli.train.policies import KINDS, Policy, policy, shown
from minidl.solver.schedules import POLICIES


def fields(text, max_iter):
    solver = schema.SolverParameter(max_iter=max_iter)
    policy(text).apply(solver)
    found = {f.name: v for f, v in solver.ListFields() if f.name not in ("max_iter", "lr_policy")}
    assert solver.lr_policy == text.partition(":")[0]
    return {n: pytest.approx(list(v) if hasattr(v, "append") else v) for n, v in found.items()}


# DIGITS' formulas by hand, with scale = max_iter / 100: ceil(s * scale), g^(1/scale), g/scale, ...
BY_HAND = {
    "fixed": {},
    "step:33,0.1": {"stepsize": 159, "gamma": 0.1},  # 33 * 4.8 = 158.4
    "multistep:50,85,0.5": {"stepvalue": [240, 408], "gamma": 0.5},
    "multistep:30,0.2": {"stepvalue": [144], "gamma": 0.2},
    "exp:0.95": {"gamma": 0.95 ** (1 / 4.8)},
    "inv:0.1,0.5": {"gamma": 0.1 / 4.8, "power": 0.5},
    "poly:3": {"power": 3},
    "sigmoid:51,0.1": {"stepsize": 245, "gamma": -0.1 / 4.8},  # 244.8
    "cosine": {},
    "plateau:30,0.2": {"plateau_winsize": [144] * 3, "gamma": 0.2},
}


@pytest.mark.parametrize("text, expected", BY_HAND.items())
def test_percentages_become_iterations(text, expected):
    assert expected == fields(text, 480)


def test_a_step_is_at_least_one_iteration_and_rounding_adds_none():
    assert fields("step:1,0.1", 10)["stepsize"] == 1
    assert fields("step:7,0.1", 10_000)["stepsize"] == 700  # 7 * 100.0 is not 700.0000000001


def test_every_policy_of_the_solver_has_its_flag_and_digits_defaults():
    assert set(KINDS) == set(POLICIES)
    defaults = {name: shown(policy(name)) for name in KINDS}
    assert defaults["step"] == "step:33,0.1" and defaults["multistep"] == "multistep:50,85,0.5"
    assert defaults["exp"] == "exp:0.95" and defaults["inv"] == "inv:0.1,0.5"
    assert defaults["poly"] == "poly:3" and defaults["sigmoid"] == "sigmoid:50,0.1"
    for text in defaults.values():
        assert shown(policy(text)) == text


@pytest.mark.parametrize(
    "text, said",
    [
        ("stpe", "did you mean step"),
        ("step:33", "step:PERCENT,GAMMA, such as step:33,0.1"),
        ("step:33,0.1,2", "step:PERCENT,GAMMA"),
        ("multistep:0.5", "multistep:PERCENT,PERCENT,...,GAMMA"),
        ("exp:x", "exp:GAMMA"),
        ("poly:-1", "poly:POWER"),
        ("inv:nan,1", "inv:GAMMA,POWER"),
        ("fixed:1", "is not fixed"),
        ("", "is not one of fixed, step"),
    ],
)
def test_what_is_not_a_policy_is_refused(text, said):
    with pytest.raises(argparse.ArgumentTypeError, match=said.replace(".", r"\.")):
        policy(text)


def test_case_and_blanks_do_not_count():
    assert policy(" Step:33,0.1") == Policy("step", (33.0, 0.1))
