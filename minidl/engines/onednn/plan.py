"""What all plans of this engine share: their fields, and room for several things in one memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minidl.engines import Bindings, Run
from minidl.memory import Layout, padded

Layouts = tuple[Layout | None, ...]


@dataclass(kw_only=True)
class DnnlPlan:
    """A Plan (see `minidl.engines`) with nothing in it yet; each operator derives its own.

    passes   the implementation of each pass, where they differ or `algorithm` is not enough:
             {"forward": "jit:avx512_core", "backward data": "x64:gemm:jit"}
    """

    algorithm: str
    workspace: int = 0
    saved: int = 0
    keeps: tuple[str, ...] = ()
    bottom: Layouts = ()
    top: Layouts = ()
    bottom_diff: Layouts = ()
    top_diff: Layouts = ()
    params: Mapping[str, Layout | None] = field(default_factory=dict)
    passes: Mapping[str, str] = field(default_factory=dict)

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        raise NotImplementedError


def packed(sizes: Iterable[int]) -> tuple[list[int], int]:
    """Where things of so many bytes start that lie one after the other, aligned, and their end.

    >>> packed([100, 0, 7])
    ([0, 128, 128], 135)
    """
    starts, end = [], 0
    for size in sizes:
        start = padded(end)
        starts.append(start)
        end = start + size
    return starts, end
