"""Learning-rate policies: the rate is a pure function of the solver's fields and the iteration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import SolverError, nearest


class Policy(NamedTuple):
    """A rule by which the rate changes.

    needs     fields of the solver file that it cannot do without
    factor    what of base_lr is left in an iteration; where the policy ends, what of
              base_lr - min_lr
    ends      whether it falls to min_lr, in iteration max_iter
    """

    needs: tuple[str, ...]
    factor: Callable[[Any, int], float]
    ends: bool = False


def passed(stepvalues: list[int], iteration: int) -> int:
    """Count the entries of `stepvalue` that were passed: Caffe's current_step.

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


def _done(p: Any, iteration: int) -> float:
    """Return the share of the training that is done."""
    if iteration > p.max_iter:
        raise SolverError(
            f'lr_policy "{p.lr_policy}" has no rate for iteration {iteration}: it ends at '
            f"{p.max_iter}",
            fix="raise max_iter before going on",
        )
    return iteration / p.max_iter if p.max_iter else 1.0


def _cosine(p: Any, iteration: int) -> float:
    """Follow half a wave from 1 to 0. Source: Loshchilov & Hutter 2017, equation 5, one period."""
    return (1 + math.cos(math.pi * _done(p, iteration))) / 2


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
    "poly": Policy(("power", "max_iter"), lambda p, i: _power(1 - _done(p, i), p.power), ends=True),
    "sigmoid": Policy(("gamma", "stepsize"), _sigmoid),
    # Not Caffe's:
    "cosine": Policy(("max_iter",), _cosine, ends=True),
    "plateau": Policy(("gamma", "plateau_winsize"), lambda p, i: 1.0),
}


def policy(param: Any) -> Policy:
    """Return the policy that a SolverParameter names; SolverError with the nearest name."""
    if param.lr_policy in POLICIES:
        return POLICIES[param.lr_policy]
    known = ", ".join(POLICIES)
    near = nearest(param.lr_policy, POLICIES)
    found = f"unknown lr_policy '{param.lr_policy}'" if param.lr_policy else "lr_policy is missing"
    raise SolverError(
        found, expected=f"one of {known}", fix=f"did you mean '{near}'?" if near else ""
    )


def rate(param: Any, iteration: int, plateaus: int = 0) -> float:
    """Return the learning rate of the update that follows `iteration` updates.

    param       SolverParameter; read each time, so a change of base_lr takes effect at once
    plateaus    how many the run has met, which the policy of that name cannot know by itself

    Errors: SolverError for a rate that is not a finite number.
    """
    used = policy(param)
    if iteration < param.rampup_interval:
        done = (iteration / param.rampup_interval) ** 2
        value = param.rampup_lr + (param.base_lr - param.rampup_lr) * done
    elif iteration < param.warmup_iter:
        done = iteration / param.warmup_iter
        value = param.warmup_start_lr + (param.base_lr - param.warmup_start_lr) * done
    else:
        low = param.min_lr if used.ends else 0.0
        value = low + (param.base_lr - low) * used.factor(param, iteration)
    if param.lr_policy == "plateau":
        value *= _power(param.gamma, plateaus)
    if not math.isfinite(value):
        raise SolverError(
            f"the learning rate of iteration {iteration} is {value}",
            expected="a finite number",
            fix=f'check base_lr, gamma and power of lr_policy "{param.lr_policy}"',
        )
    return value


def shown(param: Any, iteration: int, plateaus: int = 0) -> float:
    """Return the rate to show after `iteration` updates: a policy's last one where it has ended."""
    if policy(param).ends and iteration >= param.max_iter:
        return float(param.min_lr)
    return rate(param, iteration, plateaus)


def current_step(param: Any, iteration: int, plateaus: int = 0) -> int:
    """Return what Caffe keeps as current_step when it computes the rate of `iteration`.

    Of plateaus the forks that know them keep the number.
    """
    if param.lr_policy == "plateau":
        return plateaus
    if param.lr_policy == "step":
        return iteration // param.stepsize
    return passed(param.stepvalue, iteration) if param.lr_policy == "multistep" else 0
