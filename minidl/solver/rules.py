"""From gradients to new weights: clip, average, decay, then the solver type's own rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from minidl.blob import Param

# Elements in a piece of work. The five arrays of a piece, 640 KiB in float32, stay in a core's
# second-level cache (1 MiB) through all passes of the rule. LeNet's update took 0.46 ms with pieces
# of 2**12, 0.22 with 2**15; 54 million weights took 72 ms in one piece and 44 with 2**15.
PIECE = 1 << 15


class Rule(NamedTuple):
    """A solver type.

    histories   arrays it keeps for each parameter; a snapshot holds all firsts, then all seconds
    update      f(xp, w, g, state, rate, scratch, solver parameters): changes `w` and the arrays of
                `state`, not the finished gradient `g`; `scratch` has the shape of `g`
    """

    histories: int
    update: Callable[..., None]


def sgd(
    xp: ModuleType, w: Any, g: Any, state: Sequence[Any], rate: float, scratch: Any, p: Any
) -> None:
    """h = momentum * h + rate * g;  w = w - h.

    Source: Polyak 1964; with the rate inside the history, as Caffe has it, so that a change of the
    rate does not touch the steps already under way.
    """
    (h,) = state
    xp.multiply(g, rate, out=scratch)
    h *= p.momentum
    h += scratch
    w -= h


RULES = {"SGD": Rule(1, sgd)}

# Caffe's other types, which have no rule yet.
LATER = ("Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")


class _Piece(NamedTuple):
    """Views of one stretch of a parameter, its gradient and its history, and room for two more."""

    w: Any
    g: Any
    state: tuple[Any, ...]
    finished: Any
    scratch: Any


class Updater:
    """Applies a rule to parameters, in pieces that fit the cache and with arrays made once.

    params    the net's learnable parameters; those with lr_mult 0 stand still
    rule      of the solver's type
    history   the rule's arrays, each the shape of its parameter: `params` in order, and that
              `rule.histories` times
    """

    def __init__(self, params: Sequence[Param], rule: Rule) -> None:
        self.params, self.rule = list(params), rule
        self.moving = [p for p in self.params if p.lr_mult != 0 and p.wanted]
        self.history = [
            p.device.zeros(p.shape, p.dtype) for _ in range(rule.histories) for p in self.params
        ]
        self._scratch: Any = None
        self._arrays: list[Any] = []
        self._pieces: list[list[_Piece]] = []

    def gradient_norm(self) -> float:
        """The L2 norm of all gradients together, as accumulated: not averaged, not decayed."""
        total = 0.0
        for param in self.moving:
            flat = param.diff.reshape(-1)
            total += float(param.device.xp.dot(flat, flat))
        return math.sqrt(total)

    def apply(self, rate: float, scale: float, p: Any) -> None:
        """Update every parameter that moves; gradients are left as they were.

        rate    the learning rate, times each parameter's lr_mult
        scale   factor on the gradient before weight decay: 1 / iter_size, and clipping
        p       the SolverParameter: momentum, weight_decay, regularization_type
        """
        self._follow_arrays()
        for param, pieces in zip(self.moving, self._pieces, strict=True):
            xp, own_rate = param.device.xp, rate * param.lr_mult
            decay = p.weight_decay * param.decay_mult
            for w, g, state, finished, scratch in pieces:
                if scale != 1:
                    g = xp.multiply(g, scale, out=finished)
                if decay:
                    penalty = xp.sign(w, out=scratch) if p.regularization_type == "L1" else w
                    xp.multiply(penalty, decay, out=scratch)
                    g = xp.add(g, scratch, out=finished)
                self.rule.update(xp, w, g, state, own_rate, scratch, p)

    def _follow_arrays(self) -> None:
        """Cut the parameters into pieces; again only if someone gave one of them new arrays."""
        arrays = [a for p in self.moving for a in (p.data, p.diff)]
        if len(arrays) == len(self._arrays) and all(map(_is, arrays, self._arrays)):
            return
        self._arrays = arrays
        places = {id(p): i for i, p in enumerate(self.params)}
        self._pieces = [list(self._cut(p, places[id(p)])) for p in self.moving]

    def _cut(self, param: Param, place: int) -> Iterator[_Piece]:
        state = self.history[place :: len(self.params)]
        arrays = [param.data, param.diff, *state]
        if not all(a.flags.c_contiguous for a in arrays):  # a transposed array that a user set
            yield self._piece(arrays, param.device.zeros((2, *param.shape), param.dtype))
            return
        flat = [a.reshape(-1) for a in arrays]
        for start in range(0, param.count, PIECE):
            cut = [a[start : start + PIECE] for a in flat]
            if self._scratch is None:
                self._scratch = param.device.zeros((2, PIECE), param.dtype)
            yield self._piece(cut, self._scratch[:, : cut[0].size])

    @staticmethod
    def _piece(arrays: Sequence[Any], scratch: Any) -> _Piece:
        w, g, *state = arrays
        return _Piece(w, g, tuple(state), scratch[0], scratch[1])


def _is(a: Any, b: Any) -> bool:
    return a is b
