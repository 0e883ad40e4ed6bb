"""An engine of paper: plans with made-up names, sizes and speeds, on a clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.arrays.device import Device
from minidl.arrays.memory import Memory, Shape
from minidl.engines import Bindings, Declined, Plan, Request, Run


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
class FakePlan:
    """Takes `ms` for a forward and as long for a backward; `runs` counts the forwards."""

    algorithm: str
    ms: float = 1.0
    workspace: int = 0
    saved: int = 0
    keeps: tuple[str, ...] = ()
    bottom: tuple[Any, ...] = (None,)
    top: tuple[Any, ...] = (None,)
    bottom_diff: tuple[Any, ...] = (None,)
    top_diff: tuple[Any, ...] = (None,)
    params: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock | None = None
    runs: int = 0
    memory: Bindings | None = None

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        self.memory = memory

        def forward() -> None:
            self.runs += 1
            self._work()

        return forward, self._work if memory.top_diff else None

    def _work(self) -> None:
        if self.clock is not None:
            self.clock.now += self.ms / 1e3


class FakeEngine:
    """Offers the plans it was given; its conversions take `conversion_ms`."""

    name, version, isa, bf16 = "fake", "1.2.3", "paper", False

    def __init__(
        self, *plans: Plan, clock: Clock | None = None, declines: str = "", conversion_ms: float = 0
    ) -> None:
        self.offers, self.clock, self.declines = list(plans), clock, declines
        self.conversion_ms, self.made = conversion_ms, 0
        self.device = Device("cpu")

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
