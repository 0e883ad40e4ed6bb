"""Plans for `ops.BatchNorm`: channels brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minidl import ops
from minidl.engines.cupy_kernels.launch import LARGEST_INT
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan, gradients
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run, packed_on_gpu, several
from minidl.engines.request import UNDECIDED, Declined, Request

F32 = 4  # bytes
PART = 1024  # numbers of one channel that one warp adds up
STATISTICS = ("mean", "variance", "scale_factor")


@OPERATORS.serves(ops.BatchNorm)
def plans(engine: Engine, op: ops.BatchNorm, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan by global statistics, or by the batch's, which it then adds to them.

    Backward by the batch's reads x again; in place, where y has overwritten it, a copy in `saved`.
    """
    shape = request.bottom_shapes[0]
    if any(home not in (None, UNDECIDED) for home in request.homes):
        return Declined("it needs the statistics in plain arrays")
    if math.prod(shape) // shape[1] > LARGEST_INT - PART:
        return Declined(f"a channel of {shape} has more numbers than 31 bits can count")
    kind = GlobalPlan if op.global_stats else BatchPlan
    return iter([kind(device=engine.device, algorithm="kernel", request=request, op=op)])


@dataclass(kw_only=True)
class BatchNormPlan(PlainPlan):
    """The common part. `saved` begins with each channel's mean and 1 / standard deviation."""

    op: ops.BatchNorm

    def __post_init__(self) -> None:
        super().__post_init__()
        images, self.channels, *places = self.request.bottom_shapes[0]
        self.places = math.prod(places)
        self.size = images * self.places  # numbers in a channel
        self.count = self.size * self.channels
        self.params = dict.fromkeys(STATISTICS)
        (_, self.inv_std_at, self.kept_at), self.saved = packed_on_gpu(
            [self.channels * F32, self.channels * F32, self.kept()]
        )

    def kept(self) -> int:
        """Return the bytes for a copy of x."""
        return 0

    def launch(self, name: str, count: int, *arguments: Any) -> Run:
        return self.kernel("batch_norm", name).bind(count, *arguments)

    def normalise(self, memory: Bindings, kept: int = 0) -> Run:
        """Launch x to y, by the mean and deviation in `saved`."""
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        moments = self.moments(memory)
        return self.launch(
            "normalise", self.count, x, *moments, y, kept, self.channels, self.places
        )

    def moments(self, memory: Bindings) -> tuple[int, int]:
        """Return the addresses of the mean and of 1 / standard deviation."""
        assert memory.saved is not None
        return memory.saved.address, memory.saved.address + self.inv_std_at

    @staticmethod
    def statistics(memory: Bindings) -> list[int]:
        """Return the addresses of the statistics."""
        return [memory.params[name].values.memory.address for name in STATISTICS]


@dataclass(kw_only=True)
class GlobalPlan(BatchNormPlan):
    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        given, (mean, inv_std) = self.statistics(memory), self.moments(memory)
        look = self.launch("global_moments", self.channels, *given, mean, inv_std, self.op.eps)
        forward = several([look, self.normalise(memory)])
        if not self.has_backward:
            return forward, None
        dy, dx = gradients(memory)
        scale = self.launch("scale", self.count, dy, inv_std, dx, self.channels, self.places)
        return forward, scale


@dataclass(kw_only=True)
class BatchPlan(BatchNormPlan):
    """In the workspace, the sums of each part of a channel, and what becomes of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.has_backward and not self.request.in_place:
            self.keeps = ("bottom",)
        self.parts = -(-self.size // PART)
        sums = self.parts * self.channels * F32
        self.rooms, self.workspace = packed_on_gpu([sums, sums, *[self.channels * F32] * 2])

    def kept(self) -> int:
        return self.count * F32 if self.has_backward and self.request.in_place else 0

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        assert memory.saved is not None and memory.workspace is not None
        x, (mean, inv_std) = memory.bottom_memory[0].address, self.moments(memory)
        sums, squares, *_ = self._rooms(memory)
        kept = memory.saved.address + self.kept_at if self.kept() else 0
        shape, rows = (self.channels, self.places, self.size, PART), self.parts * self.channels
        measure = self.launch("part_moments", rows, x, sums, squares, *shape)
        join = self.launch(
            "moments",
            self.channels,
            *(sums, squares, mean, inv_std, *self.statistics(memory)),
            *(self.channels, self.size, PART, self.op.fraction, self.op.eps),
        )
        forward = several([measure, join, self.normalise(memory, kept)])
        return forward, self._backward(memory, kept or x)

    def _backward(self, memory: Bindings, x: int) -> Run | None:
        if not self.has_backward:
            return None
        mean, inv_std = self.moments(memory)
        sums, dots, mean_dy, slope = self._rooms(memory)
        dy, dx = gradients(memory)
        shape, rows = (self.channels, self.places, self.size, PART), self.parts * self.channels
        measure = self.launch("part_slopes", rows, x, dy, mean, sums, dots, *shape)
        totals = sums, dots, inv_std, mean_dy, slope, self.channels, self.size, self.parts
        join = self.launch("slopes", self.channels, *totals)
        last = x, dy, mean, inv_std, mean_dy, slope, dx, self.channels, self.places
        return several([measure, join, self.launch("backward", self.count, *last)])

    def _rooms(self, memory: Bindings) -> list[int]:
        assert memory.workspace is not None
        return [memory.workspace.address + room for room in self.rooms]
