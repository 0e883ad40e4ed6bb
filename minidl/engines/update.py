"""A solver's step as an engine is asked for it: the rule, flat arrays, and factors along them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Step(NamedTuple):
    """The rule for each weight, without the rate and the decay, which change from step to step.

    rule        the name of one of the functions of `minidl.solver.rules`: "sgd", "adam"
    decoupled   weight decay shrinks the weight and is not part of the gradient
    l1          it is by the sign of the weight, not by the weight
    momentum, momentum2, rms_decay, delta   the rule's numbers, as in a SolverParameter
    """

    rule: str
    decoupled: bool = False
    l1: bool = False
    momentum: float = 0.0
    momentum2: float = 0.0
    rms_decay: float = 0.0
    delta: float = 0.0


class Stretch(NamedTuple):
    """Neighbours in flat arrays that have the same factors on rate and decay.

    place         of one of them among the parameters that move
    start, size   elements
    """

    place: int
    start: int
    size: int
    lr_mult: float
    decay_mult: float


class Update(NamedTuple):
    """A step that is ready to be done again and again.

    run     f(rate, correction, scale, decay, clip); `rate` times a stretch's lr_mult is on all of
            its step, `correction` on the rule's part of it only; `scale` is on the gradient, before
            weight decay, and so is what brings the norm of all gradients down to `clip`.
            Returns the norm, an array () of the device, if it was to be clipped
    clips   whether it looks at `clip`
    """

    run: Callable[[float, float, float, float, float], Any]
    clips: bool = False
