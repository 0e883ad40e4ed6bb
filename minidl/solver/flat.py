"""The update of a net on a GPU: all parameters in one launch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays.arena import Arena
from minidl.arrays.blob import Param
from minidl.arrays.home import Home
from minidl.engines.engine import Engine
from minidl.solver.rules import Rule, sgd
from minidl.solver.updater import Norm, Updater


class FlatUpdater(Updater):
    """An Updater whose parameters lie in an arena, and their histories in others like it.

    SGD with an engine of our own kernels is one launch, and clipping another two; the norm is
    not looked at by the host. Everything else is array code, parameter by parameter.
    """

    def __init__(
        self, params: Sequence[Param], rule: Rule, engines: Sequence[Engine], arena: Arena
    ) -> None:
        super().__init__(params, rule)
        self.arena, self.device = arena, arena.device
        fused = rule.update is sgd and arena.dtype == np.float32
        self._kernels = fused and any(engine.updates_arenas for engine in engines)
        self._flat: Any = None
        self._multipliers: list[tuple[float, float]] = []  # that it was made with
        self._norm: Any = None
        self._in_place, self._seen = False, -1  # as all memory lay at that number of Home.changes
        self._histories = [
            self.device.zeros(arena.values.shape, arena.dtype) for _ in range(rule.histories)
        ]
        homes = dict(zip(map(id, self.moving), self._states, strict=True))
        for segment in arena.segments:
            for whole, home in zip(self._histories, homes[id(segment.param)], strict=True):
                home.move(arena.memory(whole, segment))

    def gradient_norm(self) -> float:
        with self.device.current():
            return super().gradient_norm()

    def apply(
        self, rate: float, scale: float, p: Any, iteration: int = 0, clip: float = math.inf
    ) -> Norm | None:
        with self.device.current():
            if self._fits():
                return self._launch(rate, scale, p, clip)
            return super().apply(rate, scale, p, iteration, clip)

    def _fits(self) -> bool:
        """Whether the kernels know where everything is; looked at again if any memory moved."""
        if self._kernels and self._seen != Home.changes:
            self._in_place = self._all_in_place()
            self._seen = Home.changes
        return self._kernels and self._in_place

    def _all_in_place(self) -> bool:
        mine = [home for param in self.moving for home in (param.values, param.gradient)]
        for home in (*mine, *itertools.chain(*self._states)):
            home.settle()
        lent = any(home.pending for home in mine)
        return (
            not lent
            and self.arena.whole
            and all(
                home.memory.address
                == self.device.address(whole) + start * self.arena.dtype.itemsize
                for (_, start, _), homes in zip(self.arena.segments, self._in_order(), strict=True)
                for whole, home in zip(self._histories, homes, strict=True)
            )
        )

    def _in_order(self) -> list[list[Any]]:
        homes = dict(zip(map(id, self.moving), self._states, strict=True))
        return [homes[id(segment.param)] for segment in self.arena.segments]

    def _launch(self, rate: float, scale: float, p: Any, clip: float) -> Norm | None:
        from minidl.engines.cupy_kernels.update import FlatSGD, GradientNorm, Segment

        multipliers = [(param.lr_mult, param.decay_mult) for param, _, _ in self.arena.segments]
        if self._flat is None or multipliers != self._multipliers:
            self._multipliers = multipliers
            segments = [
                Segment(start, *factors)
                for (_, start, _), factors in zip(self.arena.segments, multipliers, strict=True)
            ]
            arenas = self.arena.values, self.arena.gradients, self._histories[0]
            self._flat = FlatSGD(self.device, *arenas, segments)
        for param in self.moving:
            param.gradient.fill()
        factor, norm = 0, None
        if clip != math.inf:
            if self._norm is None:
                self._norm = GradientNorm(self.device, self.arena.gradients)
            self._norm(clip)
            factor = self._norm.factor_address
            norm = Norm(self._norm.result[0], self.device)
        l1 = p.regularization_type == "L1"
        self._flat(rate, scale, p.momentum, p.weight_decay, l1, factor)
        self._tell()
        return norm
