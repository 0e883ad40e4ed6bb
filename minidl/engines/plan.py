"""What the plans of all engines share: their fields, room in one memory, calls in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minidl.arrays.memory import ALIGNMENT, Layout
from minidl.engines import Bindings, Run

Layouts = tuple[Layout | None, ...]
ALIGNMENT_ON_GPUS = 256  # bytes: how CUDA's own memory starts; a warp reads 128 at once


@dataclass(kw_only=True)
class PlanFields:
    """A Plan (see `minidl.engines`) with nothing in it yet; each engine derives its own."""

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


def packed(sizes: Iterable[int], alignment: int = ALIGNMENT) -> tuple[list[int], int]:
    """Where things of so many bytes start that lie one after the other, aligned, and their end.

    >>> packed([100, 0, 7])
    ([0, 128, 128], 135)
    """
    starts, end = [], 0
    for size in sizes:
        start = -(-end // alignment) * alignment
        starts.append(start)
        end = start + size
    return starts, end


def packed_on_gpu(sizes: Iterable[int]) -> tuple[list[int], int]:
    """The same for the memory of a GPU.

    >>> packed_on_gpu([100, 0, 300, 7])
    ([0, 256, 256, 768], 775)
    """
    return packed(sizes, ALIGNMENT_ON_GPUS)


def several(runs: Iterable[Run]) -> Run:
    """All of these, one after the other."""
    made = list(runs)
    if len(made) == 1:
        return made[0]

    def run() -> None:
        for each in made:
            each()

    return run
