"""Plans for `ops.Pool`: the maximum or the mean of each window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan, gradients
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Declined, Request

THREADS = 1 << 18  # enough to keep a large GPU busy: 2,048 on each of 128 multiprocessors
MOST_PLANES = 8


@OPERATORS.serves(ops.Pool)
def plans(engine: Engine, op: ops.Pool, request: Request) -> Iterator[Plan] | Declined:
    """Offer MAX, with the second top if asked for, and AVE, exactly as the layer, NaN included.

    STOCHASTIC stays with array code: it computes another thing in training than in a test, and the
    description does not say which.
    """
    if op.kind not in ("MAX", "AVE"):
        return Declined(f"it has no {op.kind} pooling")
    kind = MaxPlan if op.kind == "MAX" else MeanPlan
    made = op.over(request.bottom_shapes[0][2:])
    return iter([kind(device=engine.device, algorithm="kernel:gather", request=request, op=made)])


def planes_each(shape: Shape) -> int:
    """Return how many planes a thread handles at one place, so that all threads have work.

    >>> planes_each((256, 96, 55, 55)), planes_each((64, 50, 8, 8))
    (8, 1)
    """
    return max(1, min(MOST_PLANES, math.prod(shape) // THREADS))


@dataclass(kw_only=True)
class PoolPlan(PlainPlan):
    """The common part; backward has a thread for each element of the bottom.

    op   with its window, also where that is the whole bottom
    """

    op: ops.Pool

    @property
    def place(self) -> str:
        """Return the C type that holds the index of a place in a window."""
        return "unsigned char" if math.prod(self.op.kernel) <= 256 else "int"

    def launch(self, name: str, shape: Shape, *arguments: int) -> Run:
        """Launch a kernel over all elements of a shape, the bottom's or the top's."""
        (kh, kw), (sh, sw) = self.op.kernel, self.op.stride
        # The window is compiled in, so that its loops are unrolled; extents are arguments.
        window: dict[str, object] = dict(KH=kh, KW=kw, SH=sh, SW=sw, PLACE=self.place)
        planes, each = math.prod(shape[:2]), planes_each(shape)
        geometry = *self.request.bottom_shapes[0][2:], *self.request.top_shapes[0][2:], *self.op.pad
        count = -(-planes // each) * math.prod(shape[2:])
        run = self.kernel("pooling", name, **window)
        return run.bind(count, *arguments, planes, each, *geometry)


@dataclass(kw_only=True)
class MaxPlan(PoolPlan):
    """`saved`: for each window where in it the maximum was."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Backward looks the maximum up instead of searching for it again: ties go as in forward.
        width = 1 if self.place == "unsigned char" else 4
        self.saved = math.prod(self.request.top_shapes[0]) * width if self.has_backward else 0

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        winner = memory.saved.address if memory.saved is not None else 0
        x, (y, *index) = memory.bottom_memory[0].address, (m.address for m in memory.top_memory)
        shape = self.request.top_shapes[0]
        forward = self.launch("max_forward", shape, x, y, winner, index[0] if index else 0)
        if not self.has_backward:
            return forward, None
        dy, dx = memory.top_diff_memory[0], memory.bottom_diff_memory[0]
        assert dx is not None
        shape = self.request.bottom_shapes[0]
        return forward, self.launch("max_backward", shape, dy.address, winner, dx.address)


@dataclass(kw_only=True)
class MeanPlan(PoolPlan):
    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        forward = self.launch("mean_forward", self.request.top_shapes[0], x, y)
        if not self.has_backward:
            return forward, None
        return forward, self.launch(
            "mean_backward", self.request.bottom_shapes[0], *gradients(memory)
        )
