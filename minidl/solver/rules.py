"""The update rule of each solver type, applied to a finished gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Arrays = Sequence[Any]


def _none(p: Any, iteration: int) -> float:
    return 1.0


class Rule(NamedTuple):
    """A solver type.

    histories    arrays it keeps for each parameter; a snapshot holds all firsts, then all seconds
    update       f(xp, w, g, state, rate, scratch, p): changes `w` and the arrays of `state`, not
                 the gradient `g`, which is clipped, averaged and decayed; `rate` is the parameter's
                 own, times `correction`; `p` is the SolverParameter
    scratch      arrays of the shape of `g` that it needs to work in
    reads        fields of `p` that it reads, besides weight_decay
    correction   f(p, iteration): factor on the rate, the same for all parameters
    decoupled    weight decay shrinks the weight and is not part of the gradient
    """

    histories: int
    update: Callable[..., None]
    scratch: int = 1
    reads: tuple[str, ...] = ("momentum",)
    correction: Callable[[Any, int], float] = _none
    decoupled: bool = False


def sgd(xp: Any, w: Any, g: Any, state: Arrays, rate: float, scratch: Arrays, p: Any) -> None:
    """h = momentum * h + rate * g;  w = w - h.

    Source: Polyak 1964; with the rate inside the history, as Caffe has it, so that a change of the
    rate does not touch the steps already under way.
    """
    (h,), (step,) = state, scratch
    xp.multiply(g, rate, out=step)
    h *= p.momentum
    h += step
    w -= h


def nesterov(xp: Any, w: Any, g: Any, state: Arrays, rate: float, scratch: Arrays, p: Any) -> None:
    """h = momentum * h + rate * g;  w = w - (momentum * h + rate * g).

    Caffe writes the step as (1 + momentum) * h - momentum * h_before, which is the same.

    Source: Nesterov 1983, in the form of Sutskever et al. 2013, section 2: `w` is the point that
    they look ahead to.
    """
    (h,), (fresh, step) = state, scratch
    xp.multiply(g, rate, out=fresh)
    h *= p.momentum
    h += fresh
    xp.multiply(h, p.momentum, out=step)
    step += fresh
    w -= step


def adagrad(xp: Any, w: Any, g: Any, state: Arrays, rate: float, scratch: Arrays, p: Any) -> None:
    """h = h + g**2;  w = w - rate * g / (sqrt(h) + delta).

    Source: Duchi, Hazan & Singer 2011, with a diagonal matrix.
    """
    (h,), (step,) = state, scratch
    xp.square(g, out=step)
    h += step
    _step_over_root(xp, w, g, h, rate, step, p.delta)


def rmsprop(xp: Any, w: Any, g: Any, state: Arrays, rate: float, scratch: Arrays, p: Any) -> None:
    """h = rms_decay * h + (1 - rms_decay) * g**2;  w = w - rate * g / (sqrt(h) + delta).

    Source: Tieleman & Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning".
    """
    (h,), (step,) = state, scratch
    xp.square(g, out=step)
    _average(h, step, p.rms_decay)
    _step_over_root(xp, w, g, h, rate, step, p.delta)


def adadelta(xp: Any, w: Any, g: Any, state: Arrays, rate: float, scratch: Arrays, p: Any) -> None:
    """h = momentum * h + (1 - momentum) * g**2;  v = g * sqrt((d + delta) / (h + delta));
    d = momentum * d + (1 - momentum) * v**2;  w = w - rate * v.

    `momentum` is the decay of both means, which the paper calls rho. The paper's rate is 1.

    Source: Zeiler 2012, algorithm 1.
    """
    (h, d), (step, other) = state, scratch
    xp.square(g, out=step)
    _average(h, step, p.momentum)
    xp.add(d, p.delta, out=step)
    xp.add(h, p.delta, out=other)
    step /= other
    xp.sqrt(step, out=step)
    step *= g
    xp.square(step, out=other)
    _average(d, other, p.momentum)
    step *= rate
    w -= step


def adam(xp: Any, w: Any, g: Any, state: Arrays, rate: float, scratch: Arrays, p: Any) -> None:
    """m = momentum * m + (1 - momentum) * g;  v = momentum2 * v + (1 - momentum2) * g**2;
    w = w - rate * m / (sqrt(v) + delta).

    `rate` has the correction of the means' bias in it, see `unbiased`. So `delta` is not corrected,
    in Caffe and here: that is the form at the end of the paper's section 2.

    Source: Kingma & Ba 2015.
    """
    (m, v), (step,) = state, scratch
    xp.multiply(g, 1 - p.momentum, out=step)
    m *= p.momentum
    m += step
    xp.square(g, out=step)
    _average(v, step, p.momentum2)
    _step_over_root(xp, w, m, v, rate, step, p.delta)


def unbiased(p: Any, iteration: int) -> float:
    """Return sqrt(1 - momentum2**t) / (1 - momentum**t) for update t, which is `iteration` + 1.

    Means that begin with zeros are too small at first.
    """
    t = iteration + 1
    return math.sqrt(1 - float(p.momentum2) ** t) / (1 - float(p.momentum) ** t)


def _average(mean: Any, values: Any, decay: float) -> None:
    """Compute mean = decay * mean + (1 - decay) * values; `values` are lost."""
    mean *= decay
    values *= 1 - decay
    mean += values


def _step_over_root(
    xp: Any, w: Any, g: Any, square: Any, rate: float, step: Any, delta: float
) -> None:
    """Compute w = w - rate * g / (sqrt(square) + delta)."""
    xp.sqrt(square, out=step)
    step += delta
    xp.divide(g, step, out=step)
    step *= rate
    w -= step


_ADAM = ("momentum", "momentum2", "delta")

RULES = {
    "SGD": Rule(1, sgd),
    "Nesterov": Rule(1, nesterov, scratch=2),
    "AdaGrad": Rule(1, adagrad, reads=("delta",)),
    "RMSProp": Rule(1, rmsprop, reads=("rms_decay", "delta")),
    "AdaDelta": Rule(2, adadelta, scratch=2, reads=("momentum", "delta")),
    "Adam": Rule(2, adam, reads=_ADAM, correction=unbiased),
    # Not Caffe's. Source: Loshchilov & Hutter 2019, algorithm 2; the decay is multiplied by the
    # rate as well as by the schedule, as other frameworks have it.
    "AdamW": Rule(2, adam, reads=_ADAM, correction=unbiased, decoupled=True),
}
