"""What all plans of this engine share: their fields, and room for several things in one memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from minidl.device import Device
from minidl.engines import Bindings, Run
from minidl.memory import Layout

Layouts = tuple[Layout | None, ...]
ALIGNMENT = 256  # bytes: what a warp reads at once is 128 of them, and CUDA's own memory starts so


@dataclass(kw_only=True)
class KernelPlan:
    """A Plan (see `minidl.engines`) with nothing in it yet; each operator derives its own."""

    device: Device
    algorithm: str
    workspace: int = 0
    saved: int = 0
    keeps: tuple[str, ...] = ()
    bottom: Layouts = ()
    top: Layouts = ()
    bottom_diff: Layouts = ()
    top_diff: Layouts = ()
    params: Mapping[str, Layout | None] = field(default_factory=dict)

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        raise NotImplementedError


def packed(sizes: Iterable[int]) -> tuple[list[int], int]:
    """Where things of so many bytes start that lie one after the other, aligned, and their end.

    >>> packed([100, 0, 300, 7])
    ([0, 256, 256, 768], 775)
    """
    starts, end = [], 0
    for size in sizes:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        starts.append(start)
        end = start + size
    return starts, end


def sequence(runs: Sequence[Run]) -> Run:
    """All of them, one after the other."""
    if len(runs) == 1:
        return runs[0]

    def run() -> None:
        for each in runs:
            each()

    return run
