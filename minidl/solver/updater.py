"""From gradients to new weights: clip, average, decay, then the solver type's rule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.arena import Arena
from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.home import Home
from minidl.arrays.memory import Memory
from minidl.arrays.threads import threads
from minidl.engines.engine import Engine
from minidl.engines.request import Declined
from minidl.engines.update import Step, Stretch, Update
from minidl.solver import workers
from minidl.solver.rules import Rule

# Elements in a piece of work. SGD's five arrays of a piece, 640 KiB in float32, stay in a core's
# second-level cache (1 MiB) through all passes of the rule. LeNet's update took 0.46 ms with pieces
# of 2**12, 0.22 with 2**15; 54 million weights took 72 ms in one piece and 44 with 2**15.
PIECE = 1 << 15

# Several threads take pieces twice as long, so as to meet half as often at the interpreter, which
# only one of them can hold: 61 million weights took 105 ms in one thread, 115 in two with short
# pieces, 84 with long ones.
THREADED_PIECE = 1 << 16
SHARE = 1 << 20  # elements worth a thread; a million in two threads took as long as in one


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


class _Piece(NamedTuple):
    """A part of a stretch's arrays, and room to work in, of its length."""

    stretch: Stretch
    w: Any
    g: Any
    state: tuple[Any, ...]
    finished: Any
    scratch: tuple[Any, ...]


class Updater:
    """Applies a rule to parameters, all of them in an arena with their histories.

    params    the net's learnable parameters; those with lr_mult 0 do not change
    rule      of the solver's type
    engines   that may do it in fewer passes over memory than array code, or in one launch
    arena     where those that move lie; without one, they move into one made here

    An engine is offered everything at once, then one stretch after the other: neighbours with the
    same factors on rate and decay. What no engine takes is done in array code, in pieces that fit
    the cache, large nets in several threads.

    Each element is updated by itself from its weight, gradient and history, wherever an engine
    keeps it, so the result does not depend on layouts, nor on the number of threads. An engine's
    update rounds at other places, so it differs from array code in the last bits.
    """

    def __init__(
        self,
        params: Sequence[Param],
        rule: Rule,
        engines: Sequence[Engine] = (),
        arena: Arena | None = None,
    ) -> None:
        self.params, self.rule, self.engines = list(params), rule, list(engines)
        self.moving = [p for p in self.params if p.lr_mult != 0 and p.wanted]
        device, dtype = (params[0].device, params[0].dtype) if params else (Device(), np.float32)
        self.device = device
        self.arena = Arena(self.moving, device, dtype) if arena is None else arena
        self._history = [
            {param: Home(param.shape, dtype, device) for param in self.params}
            for _ in range(rule.histories)
        ]
        self._states = {home for history in self._history for home in history.values()}
        self._rows = [self.arena.row(history.__getitem__) for history in self._history]
        self._seen = -1  # Home.changes at the last look for the next
        self._pending: list[Home] = []  # of which somebody may hold, or have written, an array
        self._terms: tuple[Any, ...] = ()  # what the next three were made for
        self._memories: list[Memory] = []  # of parameters outside the arena, then
        self._by_engine: list[tuple[int, Update]] = []  # with a place in `moving`, for its rate
        self._clips = False  # whether that is one engine, which clips by itself
        self._shares: list[list[_Piece]] = []  # of all the rest, for each thread its own

    @property
    def history(self) -> list[Any]:
        """The rule's arrays, each the shape of its parameter: `params` in order, and that
        `rule.histories` times. What is written to them counts in the next update."""
        return [home.lend() for history in self._history for home in history.values()]

    def gradient_norm(self) -> float:
        """Return the L2 norm of all gradients as accumulated: not averaged, not decayed."""
        with self.device.current():
            self._settle()
            return math.sqrt(sum(_square(param.gradient) for param in self.moving))

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
        with self.device.current():
            self._settle()
            self._prepare(p)
            norm = None
            if clip != math.inf and not self._clips:
                norm = Norm(self.gradient_norm())
                if not math.isfinite(norm.value):
                    return norm
                scale *= clip / norm.value if norm.value > clip else 1.0
                clip = math.inf
            rates = self._adapted(rate, scale, p) if p.larc else [rate] * len(self.moving)
            correction = self.rule.correction(p, iteration)
            for place, update in self._by_engine:
                found = update.run(rates[place], correction, scale, p.weight_decay, clip)
                norm = Norm(found, self.device) if found is not None else norm
            self._go_over_pieces(rates, correction, scale, p)
            self._tell()
            return norm

    def _go_over_pieces(
        self, rates: Sequence[float], correction: float, scale: float, p: Any
    ) -> None:
        """Update what no engine does, in array code."""

        def work(share: int) -> None:
            for stretch, w, g, state, finished, scratch in self._shares[share]:
                xp, own_rate = self.device.xp, rates[stretch.place] * stretch.lr_mult
                decay = p.weight_decay * stretch.decay_mult
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

    def _tell(self) -> None:
        """Let those who hold weights or histories see what has changed."""
        for param in self.moving:
            param.values.touch()
        for home in self._pending:
            if home in self._states:
                home.wrote(0)
            home.give()

    def _adapted(self, rate: float, scale: float, p: Any) -> list[float]:
        """Return each moving parameter's rate under `larc`; its lr_mult plays no part.

        Source: You, Gitman & Ginsburg 2017; NVIDIA/caffe, SGDSolver::GetLocalRate, as it runs on a
        GPU: there the gradient has no weight decay in it yet.
        """
        rates = []
        for param in self.moving:
            weight, gradient = (math.sqrt(_square(h)) for h in (param.values, param.gradient))
            local, gradient = 1.0, abs(scale) * gradient
            if weight > 0 and gradient > 0:
                local = p.larc_eta * (1 - p.momentum) * weight / gradient
            rates.append(min(rate, local) if p.larc_policy == "clip" else rate * local)
        return rates

    # ------------------------------------------------------------------ whose memory, who does it

    def _settle(self) -> None:
        """Have all parameters in the arena, and in memory what users may have written."""
        if self._seen != Home.changes:
            self.arena.gather()
            for param, history in itertools.product(self.moving, self._history):
                if param.borrowed:
                    history[param].arrange(param.values.memory.layout)
            homes = (home for param in self.moving for home in self._homes(param))
            self._pending = [home for home in homes if home.pending]
            self._seen = Home.changes
        for home in self._pending:
            home.settle()
        for param in self.moving:
            param.gradient.fill()

    def _homes(self, param: Param) -> tuple[Home, ...]:
        return param.values, param.gradient, *(history[param] for history in self._history)

    def _prepare(self, p: Any) -> None:
        """Divide the work again if any memory moved, or if engines have to start again."""
        step = Step(
            self.rule.update.__name__,
            self.rule.decoupled,
            p.regularization_type == "L1",
            *(p.momentum, p.momentum2, p.rms_decay, p.delta),
        )
        factors = tuple((1.0 if p.larc else m.lr_mult, m.decay_mult) for m in self.moving)
        ages = tuple(engine.generation for engine in self.engines)
        memories = [home.memory for m in self.moving if m.borrowed for home in self._homes(m)]
        terms = (self.arena.version, step, factors, p.larc, ages, threads(), *map(id, memories))
        if terms != self._terms:
            self._terms, self._memories = terms, memories  # kept, so that no id comes again
            self._divide(step, factors, p.larc)

    def _divide(self, step: Step, factors: Sequence[tuple[float, float]], apart: bool) -> None:
        """Offer each flat array to the engines whole, then by stretches; the rest is array code."""
        self._by_engine, rest = [], []
        for arrays, stretches in self._stretches(factors, apart):
            update = None if apart else self._offered(step, arrays, stretches)
            if update is not None:
                self._by_engine.append((stretches[0].place, update))
                continue
            for stretch in stretches:
                parts = [array[stretch.start :][: stretch.size] for array in arrays]
                update = self._offered(step, parts, [stretch._replace(start=0)])
                if update is not None:
                    self._by_engine.append((stretch.place, update))
                else:
                    rest.append((stretch, parts))
        self._clips = not rest and len(self._by_engine) == 1 and self._by_engine[0][1].clips
        self._shares = self._cut(rest)

    def _stretches(
        self, factors: Sequence[tuple[float, float]], apart: bool
    ) -> list[tuple[list[Any], list[Stretch]]]:
        """Return the flat arrays that hold all, with their stretches; `apart`: one a parameter."""
        places = {param: place for place, param in enumerate(self.moving)}
        rows = [self.arena.values, self.arena.gradients, *(row.flat for row in self._rows)]
        found: list[Stretch] = []
        for segment in self.arena.segments:
            place = places[segment.param]
            last = found[-1] if found else None
            if not apart and last is not None and factors[place] == factors[last.place]:
                found[-1] = last._replace(size=segment.start + segment.size - last.start)
            else:
                found.append(Stretch(place, segment.start, segment.size, *factors[place]))
        lists = [(rows, found)] if found else []
        for param, place in places.items():
            if param.borrowed:
                arrays = [_flat(home) for home in self._homes(param)]
                lists.append((arrays, [Stretch(place, 0, arrays[0].size, *factors[place])]))
        return lists

    def _offered(
        self, step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch]
    ) -> Update | None:
        """Return the update of the first engine that takes it; None leaves it to array code."""
        answers = (e.updater(step, arrays, stretches, threads()) for e in self.engines)
        return next((answer for answer in answers if not isinstance(answer, Declined)), None)

    def _cut(self, rest: Sequence[tuple[Stretch, list[Any]]]) -> list[list[_Piece]]:
        """Cut stretches into pieces, about as many elements for each thread."""
        if not rest:
            return [[]]
        total, done = sum(arrays[0].size for _, arrays in rest), 0
        helpers = min(threads(), total // SHARE)
        if self.device.kind == "cuda":  # whole stretches, by one thread
            helpers, length = 1, max(arrays[0].size for _, arrays in rest)
        else:
            length = PIECE if helpers <= 1 else THREADED_PIECE
        shares: list[list[_Piece]] = [[] for _ in range(max(1, helpers))]
        shape = (1 + self.rule.scratch, length)
        rooms = [self.device.zeros(shape, self.arena.dtype) for _ in shares]
        for stretch, arrays in rest:
            for start in range(0, arrays[0].size, length):
                w, g, *state = (a[start : start + length] for a in arrays)
                turn = done * len(shares) // total
                finished, *scratch = rooms[turn][:, : w.size]
                piece = _Piece(stretch, w, g, tuple(state), finished, tuple(scratch))
                shares[turn].append(piece)
                done += w.size
        return shares


def _square(home: Home) -> float:
    flat = _flat(home)
    return float(home.device.to_host(home.device.xp.dot(flat, flat)))


def _flat(home: Home) -> Any:
    """Return the memory of a parameter, one-dimensional, padding included."""
    return home.memory.array.reshape(-1).view(home.dtype)
