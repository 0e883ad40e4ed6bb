"""Plans, which engines answer with: one way to run a layer, and the memory it is bound to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import ALIGNMENT, Layout, Memory

Run = Callable[[], None]
Layouts = tuple[Layout | None, ...]
ALIGNMENT_ON_GPUS = 256  # bytes: how CUDA's own memory starts; a warp reads 128 at once


@dataclass
class Bindings:
    """The memory that a plan works on. Every Memory has the layout that the plan stated.

    bottom_diff_memory[i] is None where it is not wanted; top_diff_memory is empty if there is no
    backward. Gradients of parameters are in the Params: see `Home.fresh`.
    """

    bottom_memory: tuple[Memory, ...]
    top_memory: tuple[Memory, ...]
    bottom_diff_memory: tuple[Memory | None, ...] = ()
    top_diff_memory: tuple[Memory, ...] = ()
    params: Mapping[str, Param] = field(default_factory=dict)
    saved: Memory | None = None
    workspace: Memory | None = None

    def gradients(self) -> tuple[Memory, Memory] | None:
        """Return those of the only bottom and the only top, dx and dy; None without a backward."""
        if not self.top_diff_memory or self.bottom_diff_memory[0] is None:
            return None
        return self.bottom_diff_memory[0], self.top_diff_memory[0]


@dataclass(kw_only=True)
class Plan:
    """One way to run one layer: prepared once for its shapes, executed many times.

    algorithm    the implementation's name: "jit:avx512_core"
    device       where it computes
    workspace    bytes needed during a call; contents are garbage before and after
    saved        bytes kept from a forward to its backward
    keeps        what backward reads again: "bottom", "top", "top sign" (as in Layer.keeps)
    bottom_layouts, top_layouts
                 what it reads and writes, one for each blob, whose gradient lies alike; in place,
                 the first bottom's and the first top's are equal
    params       the layout each parameter has to live in, by name; what `homes` said where it said
    passes       the implementation of each pass, where they differ or `algorithm` is not enough:
                 {"forward": "jit:avx512_core", "backward data": "x64:gemm:jit"}
    notes        what the log says of a pass: {"backward data": "algo1, as this pass has no fft"}
    obeys        each pass has chosen by the request's `algorithm` itself, from what it has
    """

    algorithm: str
    device: Device = Device("cpu")
    workspace: int = 0
    saved: int = 0
    keeps: tuple[str, ...] = ()
    bottom_layouts: Layouts = ()
    top_layouts: Layouts = ()
    params: Mapping[str, Layout | None] = field(default_factory=dict)
    passes: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    obeys: ClassVar[bool] = False

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        """Return forward and backward over this memory, ready to be called again and again."""
        raise NotImplementedError


def packed(sizes: Iterable[int], alignment: int = ALIGNMENT) -> tuple[list[int], int]:
    """Return where parts of these bytes start, laid out in a row and aligned, and their end.

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
    """Do the same for the memory of a GPU.

    >>> packed_on_gpu([100, 0, 300, 7])
    ([0, 256, 256, 768], 775)
    """
    return packed(sizes, ALIGNMENT_ON_GPUS)


def several(runs: Iterable[Run]) -> Run:
    """Return one callable that makes these calls in order."""
    made = list(runs)
    if len(made) == 1:
        return made[0]

    def run() -> None:
        for each in made:
            each()

    return run
