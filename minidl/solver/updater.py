"""From gradients to new weights: clip, average, decay, then the solver type's rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import is_not
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.home import Home
from minidl.arrays.memory import Memory
from minidl.arrays.threads import threads
from minidl.engines.engine import Engine, Update
from minidl.engines.request import Declined
from minidl.solver import workers
from minidl.solver.rules import Rule, sgd

# Elements in a piece of work. SGD's five arrays of a piece, 640 KiB in float32, stay in a core's
# second-level cache (1 MiB) through all passes of the rule. LeNet's update took 0.46 ms with pieces
# of 2**12, 0.22 with 2**15; 54 million weights took 72 ms in one piece and 44 with 2**15.
PIECE = 1 << 15

# Several threads take pieces twice as long, so as to meet half as often at the interpreter, which
# only one of them can hold: 61 million weights took 105 ms in one thread, 115 in two with short
# pieces, 84 with long ones.
THREADED_PIECE = 1 << 16
SHARE = 1 << 20  # elements worth a thread; a million in two threads took as long as in one

# Elements from which on an engine updates a parameter, where it can. The array code took 0.05 ms
# for as many and oneDNN 0.02; for 61 million 80 ms and 41.
LARGE = 1 << 16


class _Piece(NamedTuple):
    """A stretch of the `place`-th parameter that moves, and room to work in, of its length."""

    place: int
    w: Any
    g: Any
    state: tuple[Any, ...]
    finished: Any
    scratch: tuple[Any, ...]


class Norm:
    """The L2 norm of all gradients together: as accumulated, not averaged, not decayed.

    found    the number, or an array () of a device
    known    whether it is known by now; otherwise to ask for `value` is to wait for the device
    """

    def __init__(self, found: Any, device: Device | None = None) -> None:
        self._found, self._device = found, device
        self.known = device is None

    @property
    def value(self) -> float:
        return float(self._found if self._device is None else self._device.to_host(self._found))

    def factor(self, limit: float) -> float:
        """What brings it down to `limit`; 1 if it is not above."""
        return limit / self.value if self.value > limit else 1.0


class Updater:
    """Applies a rule to parameters: in pieces that fit the cache, large nets in several threads.

    params    the net's learnable parameters; those with lr_mult 0 stand still
    rule      of the solver's type
    engines   that may update large parameters by SGD, in fewer passes over memory than array code

    Each element is updated by itself from its weight, gradient and history, wherever an engine
    keeps it, so the result does not depend on layouts, nor on the number of threads. An engine's
    update rounds at other places, so it differs from array code in the last bits.
    """

    def __init__(self, params: Sequence[Param], rule: Rule, engines: Sequence[Engine] = ()) -> None:
        self.params, self.rule, self.engines = list(params), rule, list(engines)
        self.moving = [p for p in self.params if p.lr_mult != 0 and p.wanted]
        self._history = [
            Home(p.shape, p.dtype, p.device) for _ in range(rule.histories) for p in self.params
        ]
        places = [i for i, p in enumerate(self.params) if p in self.moving]
        self._states = [self._history[i :: len(self.params)] for i in places]  # of `moving`
        self._memory: list[Memory] = []
        self._terms: tuple[Any, ...] = ()  # what else the next two were made for
        self._by_engine: dict[int, Update] = {}  # by place in `moving`
        self._shares: list[list[_Piece]] = []  # of the rest, for each thread its own

    @property
    def history(self) -> list[Any]:
        """The rule's arrays, each the shape of its parameter: `params` in order, and that
        `rule.histories` times. What is written to them counts in the next update."""
        return [home.lend() for home in self._history]

    def gradient_norm(self) -> float:
        """The L2 norm of all gradients together, as accumulated: not averaged, not decayed."""
        total = 0.0
        for param in self.moving:
            _, flat = _flat(param)
            total += float(param.device.to_host(param.device.xp.dot(flat, flat)))
        return math.sqrt(total)

    def apply(
        self, rate: float, scale: float, p: Any, iteration: int = 0, clip: float = math.inf
    ) -> Norm | None:
        """Update every parameter that moves; gradients are left as they were.

        rate         the learning rate, times each parameter's lr_mult
        scale        factor on the gradient before weight decay: 1 / iter_size
        p            the SolverParameter: momentum, weight_decay, regularization_type, ...
        iteration    updates before this one
        clip         the norm of all gradients together is brought down to this first

        Returns the norm if it was to be clipped. Where it is known to be not finite, nothing moves.
        """
        norm = None
        if clip != math.inf:
            norm = Norm(self.gradient_norm())
            if not math.isfinite(norm.value):
                return norm
            scale *= norm.factor(clip)
        self._prepare(p)
        correction = self.rule.correction(p, iteration)
        rates = self._adapted(rate, scale, p) if p.larc else [rate * m.lr_mult for m in self.moving]
        decays = [p.weight_decay * m.decay_mult for m in self.moving]
        factors = list(zip(rates, decays, strict=True))
        for place, update in self._by_engine.items():
            own_rate, decay = factors[place]
            update(own_rate * scale, own_rate * decay)

        def work(share: int) -> None:
            for place, w, g, state, finished, scratch in self._shares[share]:
                xp, (own_rate, decay) = self.moving[place].device.xp, factors[place]
                if scale != 1:
                    g = xp.multiply(g, scale, out=finished)
                if decay:
                    room = scratch[0]
                    penalty = xp.sign(w, out=room) if p.regularization_type == "L1" else w
                    if self.rule.decoupled:
                        w -= xp.multiply(penalty, own_rate * decay, out=room)
                    else:
                        xp.multiply(penalty, decay, out=room)
                        g = xp.add(g, room, out=finished)
                self.rule.update(xp, w, g, state, own_rate * correction, scratch, p)

        workers.share(work, len(self._shares))
        self._tell()
        return norm

    def _tell(self) -> None:
        """Let those who hold weights or histories see what has changed."""
        for param, homes in zip(self.moving, self._states, strict=True):
            param.values.touch()
            for home in homes:
                if home.pending:
                    home.wrote(0)
                    home.give()

    def _adapted(self, rate: float, scale: float, p: Any) -> list[float]:
        """Each moving parameter's rate under `larc`; its lr_mult plays no part.

        Source: You, Gitman & Ginsburg 2017; NVIDIA/caffe, SGDSolver::GetLocalRate, as it runs on a
        GPU: there the gradient has no weight decay in it yet.
        """
        rates = []
        for param in self.moving:
            xp, to_host = param.device.xp, param.device.to_host
            weight, gradient = (math.sqrt(to_host(xp.dot(flat, flat))) for flat in _flat(param))
            local, gradient = 1.0, abs(scale) * gradient
            if weight > 0 and gradient > 0:
                local = p.larc_eta * (1 - p.momentum) * weight / gradient
            rates.append(min(rate, local) if p.larc_policy == "clip" else rate * local)
        return rates

    # ------------------------------------------------------------------ whose memory, who does it

    def _prepare(self, p: Any) -> None:
        """Divide the work anew if any memory moved, or if engines have to start anew."""
        memory = self._follow_memory()
        terms = (p.momentum, p.regularization_type, *(e.generation for e in self.engines))
        moved = len(memory) != len(self._memory) or any(map(is_not, memory, self._memory))
        if moved or terms != self._terms:
            self._memory, self._terms = memory, terms
            self._divide(p)

    def _follow_memory(self) -> list[Memory]:
        """All memory that an update works on, histories laid out as their parameters."""
        memory: list[Memory] = []
        for param, homes in zip(self.moving, self._states, strict=True):
            for home in homes:
                home.arrange(param.values.memory.layout)
            for home in (param.values, param.gradient, *homes):
                home.settle()
                home.fill()
                memory.append(home.memory)
        return memory

    def _divide(self, p: Any) -> None:
        """Give what an engine takes to it, all the rest to array code."""
        rest, self._by_engine = {}, {}
        for place, (param, homes) in enumerate(zip(self.moving, self._states, strict=True)):
            histories = [home.memory.array.reshape(-1).view(param.dtype) for home in homes]
            arrays = [*_flat(param), *histories]
            update = self._engines_update(p, *arrays)
            if update is None:
                rest[place] = arrays
            else:
                self._by_engine[place] = update
        self._shares = self._cut(rest)

    def _engines_update(self, p: Any, w: Any, g: Any, *state: Any) -> Update | None:
        """By the first engine that takes this parameter; None where array code is to do it."""
        fused = self.rule.update is sgd and p.regularization_type == "L2"
        if not fused or w.dtype != np.float32 or w.size < LARGE:
            return None
        answers = (e.updater(p.momentum, w, g, state[0], threads()) for e in self.engines)
        return next((answer for answer in answers if not isinstance(answer, Declined)), None)

    def _cut(self, flat: Mapping[int, Sequence[Any]]) -> list[list[_Piece]]:
        """The pieces of parameters by place, about as many elements for each thread."""
        if not flat:
            return [[]]
        total, done = sum(w.size for w, *_ in flat.values()), 0
        device, helpers = self.moving[0].device, min(threads(), total // SHARE)
        if device.kind == "cuda":  # whole parameters, by one thread
            helpers, length = 1, max(w.size for w, *_ in flat.values())
        else:
            length = PIECE if helpers <= 1 else THREADED_PIECE
        shares: list[list[_Piece]] = [[] for _ in range(max(1, helpers))]
        shape = (1 + self.rule.scratch, length)
        rooms = [device.zeros(shape, self.moving[0].dtype) for _ in shares]
        for place, arrays in flat.items():
            for start in range(0, arrays[0].size, length):
                w, g, *state = (a[start : start + length] for a in arrays)
                turn = done * len(shares) // total
                finished, *scratch = rooms[turn][:, : w.size]
                shares[turn].append(_Piece(place, w, g, tuple(state), finished, tuple(scratch)))
                done += w.size
        return shares


def _flat(param: Param) -> tuple[Any, Any]:
    """Values and gradient as one-dimensional arrays, padding included."""
    for home in (param.values, param.gradient):
        home.settle()
        home.fill()
    return tuple(
        home.memory.array.reshape(-1).view(param.dtype) for home in (param.values, param.gradient)
    )
