"""An engine of paper: plans with made-up names, sizes and speeds, on a clock of its own."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from minidl.arrays.device import Device
from minidl.arrays.memory import Memory, Shape
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Declined, Request


class Clock:
    """Stands in for `perf_counter`: time passes only where somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-9  # so that loops that wait for it to move on end
        return self.now


@dataclass(frozen=True)
class FakeLayout:
    """Plain order under another name."""

    name: str
    shape: Shape

    @property
    def nbytes(self) -> int:
        return 4 * int(np.prod(self.shape))

    def pack(self, plain: np.ndarray, packed: np.ndarray) -> None:
        packed.view(np.float32)[:] = plain.reshape(-1)

    def unpack(self, packed: np.ndarray, plain: np.ndarray) -> None:
        plain.reshape(-1)[:] = packed.view(np.float32)

    def __str__(self) -> str:
        return self.name


@dataclass
class FakePlan(Plan):
    """Takes `ms` for a forward and as long for a backward; `runs` counts the forwards."""

    algorithm: str
    ms: float = 1.0
    clock: Clock | None = None
    runs: int = 0
    memory: Bindings | None = None
    _: KW_ONLY
    bottom_layouts: tuple[Any, ...] = (None,)
    top_layouts: tuple[Any, ...] = (None,)

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        self.memory = memory

        def forward() -> None:
            self.runs += 1
            self._work()

        return forward, self._work if memory.top_diff_memory else None

    def _work(self) -> None:
        if self.clock is not None:
            self.clock.now += self.ms / 1e3


class FakeEngine(Engine):
    """Offers the plans it was given; its conversions take `conversion_ms`."""

    name, title, kind = "fake", "Fake", "cpu"
    direct = ("jit", "brg")
    version, isa = "1.2.3", "paper"

    def __init__(
        self, *plans: Plan, clock: Clock | None = None, declines: str = "", conversion_ms: float = 0
    ) -> None:
        super().__init__(Device("cpu"))
        self.offers, self.clock, self.declines = list(plans), clock, declines
        self.conversion_ms, self.made = conversion_ms, 0

    def plans(self, op: Any, request: Request) -> Any:
        if self.declines:
            return Declined(self.declines)
        return self._lazily()

    def _lazily(self) -> Any:
        for plan in self.offers:
            self.made += 1
            yield plan

    def converter(self, source: Memory, target: Memory) -> Run:
        assert source.layout != target.layout

        def run() -> None:
            if self.clock is not None:
                self.clock.now += self.conversion_ms / 1e3

        return run
