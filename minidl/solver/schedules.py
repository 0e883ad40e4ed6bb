"""Learning-rate policies: the rate is a pure function of the solver's fields and the iteration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import SolverError, nearest


class Policy(NamedTuple):
    """Fields of the solver file that a policy needs, and its rate as a multiple of base_lr."""

    needs: tuple[str, ...]
    factor: Callable[[Any, int], float]


def passed(stepvalues: list[int], iteration: int) -> int:
    """How many entries of `stepvalue` lie behind: Caffe's current_step in this iteration.

    Caffe passes them in the order of the file and at most one an iteration. That matters only
    where they do not ascend:

    >>> [passed([3, 3, 1], i) for i in range(7)]
    [0, 0, 0, 1, 2, 3, 3]
    """
    done, at = 0, -1
    for value in stepvalues:
        at = max(value, at + 1)
        done += at <= iteration
    return done


def _poly(p: Any, iteration: int) -> float:
    if iteration > p.max_iter:
        raise SolverError(
            f'lr_policy "poly" has no rate for iteration {iteration}: it ends at {p.max_iter}',
            fix="raise max_iter before going on",
        )
    return _power(1 - iteration / p.max_iter, p.power)


def _power(base: float, exponent: float) -> float:
    with np.errstate(all="ignore"):  # NaN and infinity are refused in `rate`
        return float(np.float64(base) ** exponent)


def _sigmoid(p: Any, iteration: int) -> float:
    with np.errstate(all="ignore"):
        return float(1 / (1 + np.exp(-p.gamma * np.float64(iteration - p.stepsize))))


POLICIES = {
    "fixed": Policy((), lambda p, i: 1.0),
    "step": Policy(("gamma", "stepsize"), lambda p, i: _power(p.gamma, i // p.stepsize)),
    "exp": Policy(("gamma",), lambda p, i: _power(p.gamma, i)),
    "inv": Policy(("gamma", "power"), lambda p, i: _power(1 + p.gamma * i, -p.power)),
    "multistep": Policy(
        ("gamma", "stepvalue"), lambda p, i: _power(p.gamma, passed(p.stepvalue, i))
    ),
    "poly": Policy(("power", "max_iter"), _poly),
    "sigmoid": Policy(("gamma", "stepsize"), _sigmoid),
}


def policy(param: Any) -> Policy:
    """The policy that a SolverParameter names, or a SolverError with the nearest name."""
    if param.lr_policy in POLICIES:
        return POLICIES[param.lr_policy]
    known = ", ".join(POLICIES)
    near = nearest(param.lr_policy, POLICIES)
    found = f"unknown lr_policy '{param.lr_policy}'" if param.lr_policy else "lr_policy is missing"
    raise SolverError(
        found, expected=f"one of {known}", fix=f"did you mean '{near}'?" if near else ""
    )


def rate(param: Any, iteration: int) -> float:
    """The learning rate of the update that follows `iteration` updates.

    param   SolverParameter; read anew each time, so a change of base_lr takes effect at once

    Errors: SolverError for a rate that is not a finite number.
    """
    value = param.base_lr * policy(param).factor(param, iteration)
    if not math.isfinite(value):
        raise SolverError(
            f"the learning rate of iteration {iteration} is {value}",
            expected="a finite number",
            fix=f'check base_lr, gamma and power of lr_policy "{param.lr_policy}"',
        )
    return value


def shown(param: Any, iteration: int) -> float:
    """The rate to show after `iteration` updates: 0 where poly has ended, and no update follows."""
    if param.lr_policy == "poly" and iteration >= param.max_iter:
        return 0.0
    return rate(param, iteration)


def current_step(param: Any, iteration: int) -> int:
    """What Caffe keeps as current_step when it works out the rate of `iteration`."""
    if param.lr_policy == "step":
        return iteration // param.stepsize
    return passed(param.stepvalue, iteration) if param.lr_policy == "multistep" else 0
