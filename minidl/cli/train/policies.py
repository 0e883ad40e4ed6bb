"""How the rate of a new run falls: `--policy step:33,0.1`, in percent of the training.

The numbers after the colon, and what becomes of them, are NVIDIA DIGITS'; cosine and plateau are
minidl's own.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from minidl.errors import nearest

Numbers = tuple[float, ...]


class Kind(NamedTuple):
    """A policy: its numbers by default, what they are, and how they become fields of a solver.

    set    called with the solver, the numbers, and the iterations in one percent of the training
    """

    default: Numbers
    words: str
    set: Callable[[Any, Numbers, float], None]


class Policy(NamedTuple):
    """What --policy asks for."""

    name: str
    numbers: Numbers

    def apply(self, solver: Any) -> None:
        """Set lr_policy and its fields for the solver's max_iter."""
        solver.lr_policy = self.name
        KINDS[self.name].set(solver, self.numbers, solver.max_iter / 100)


def _fixed(solver: Any, numbers: Numbers, scale: float) -> None:
    pass


def _step(solver: Any, numbers: Numbers, scale: float) -> None:
    percent, solver.gamma = numbers
    solver.stepsize = _at(percent, scale)


def _multistep(solver: Any, numbers: Numbers, scale: float) -> None:
    *percents, solver.gamma = numbers
    solver.stepvalue.extend(_at(percent, scale) for percent in percents)


def _exp(solver: Any, numbers: Numbers, scale: float) -> None:
    solver.gamma = numbers[0] ** (1 / scale)


def _inv(solver: Any, numbers: Numbers, scale: float) -> None:
    solver.gamma, solver.power = numbers[0] / scale, numbers[1]


def _poly(solver: Any, numbers: Numbers, scale: float) -> None:
    solver.power = numbers[0]


def _sigmoid(solver: Any, numbers: Numbers, scale: float) -> None:
    solver.stepsize, solver.gamma = _at(numbers[0], scale), -numbers[1] / scale


def _plateau(solver: Any, numbers: Numbers, scale: float) -> None:
    """As many windows as fit into the training."""
    percent, solver.gamma = numbers
    solver.plateau_winsize.extend([_at(percent, scale)] * max(1, int(100 / percent)))


def _at(percent: float, scale: float) -> int:
    """Return the iteration at this percentage; the last digits of a product do not count."""
    return max(1, math.ceil(round(percent * scale, 6)))


KINDS = {
    "fixed": Kind((), "", _fixed),
    "step": Kind((33, 0.1), "PERCENT,GAMMA", _step),
    "multistep": Kind((50, 85, 0.5), "PERCENT,PERCENT,...,GAMMA", _multistep),
    "exp": Kind((0.95,), "GAMMA", _exp),
    "inv": Kind((0.1, 0.5), "GAMMA,POWER", _inv),
    "poly": Kind((3,), "POWER", _poly),
    "sigmoid": Kind((50, 0.1), "PERCENT,GAMMA", _sigmoid),
    "cosine": Kind((), "", _fixed),
    "plateau": Kind((10, 0.1), "PERCENT,GAMMA", _plateau),
}


def policy(text: str) -> Policy:
    """Argument type: a policy's name, and after a colon its numbers."""
    name, colon, rest = text.partition(":")
    name = name.strip().lower()
    if name not in KINDS:
        near = nearest(name, KINDS)
        hint = f"; did you mean {near}?" if near else ""
        raise argparse.ArgumentTypeError(f"'{name}' is not one of {', '.join(KINDS)}{hint}")
    kind = KINDS[name]
    if not colon:
        return Policy(name, kind.default)
    try:
        numbers = tuple(float(part) for part in rest.split(","))
    except ValueError:
        numbers = ()
    several = name == "multistep" and len(numbers) > 1
    if not (several or len(numbers) == len(kind.default)) or not all(map(_sound, numbers)):
        wanted = f"{name}:{kind.words}, such as {shown(Policy(name, kind.default))}"
        raise argparse.ArgumentTypeError(f"'{text}' is not {wanted if kind.words else name}")
    return Policy(name, numbers)


def _sound(number: float) -> bool:
    return math.isfinite(number) and number > 0


def shown(wanted: Policy) -> str:
    """Return a policy as it is typed.

    >>> shown(policy("step:33,0.1"))
    'step:33,0.1'
    """
    return f"{wanted.name}:{','.join(f'{n:g}' for n in wanted.numbers)}".removesuffix(":")
