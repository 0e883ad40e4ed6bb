"""Plans for `ops.LRN`: local response normalisation, across channels or within one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minidl import ops
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan, gradients
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run, several
from minidl.engines.request import Declined, Request

F32 = 4  # bytes
STRIP = 32  # channels that a thread walks over; at either end it reads some of its neighbours', too
MOST = 31  # places in a row of the window: more do not fit a thread's registers


@OPERATORS.serves(ops.LRN)
def plans(engine: Engine, op: ops.LRN, request: Request) -> Iterator[Plan] | Declined:
    """Offer one kernel each way across channels that keeps nothing but the bottom."""
    if op.within:
        return iter([WithinPlan(**_usual(engine, op, request), algorithm="kernel")])
    if op.size > MOST:
        return Declined(f"a window of {op.size} channels; its kernel has room for {MOST}")
    return iter([AcrossPlan(**_usual(engine, op, request), algorithm="kernel:strips")])


def _usual(engine: Any, op: ops.LRN, request: Request) -> dict[str, Any]:
    return {"device": engine.device, "request": request, "keeps": ("bottom",), "op": op}


@dataclass(kw_only=True)
class AcrossPlan(PlainPlan):
    op: ops.LRN

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        op, (images, channels, *size) = self.op, self.request.bottom_shapes[0]
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        places = math.prod(size)
        count = images * -(-channels // STRIP) * places
        numbers = channels, places, STRIP, op.alpha, op.beta, op.k
        forward = self.kernel("lrn", "across_forward", SIZE=op.size).bind(count, x, y, *numbers)
        if not self.has_backward:
            return forward, None
        backward = self.kernel("lrn", "across_backward", SIZE=op.size)
        return forward, backward.bind(count, x, *gradients(memory), *numbers)


@dataclass(kw_only=True)
class WithinPlan(PlainPlan):
    """Within a channel: s is kept in `saved`; r is in the workspace."""

    op: ops.LRN

    def __post_init__(self) -> None:
        super().__post_init__()
        self.saved = math.prod(self.request.bottom_shapes[0]) * F32
        self.workspace = self.saved if self.has_backward else 0

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        assert memory.saved is not None
        op, shape, s = self.op, self.request.bottom_shapes[0], memory.saved.address
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        count, size = math.prod(shape), op.size
        run = self.kernel("lrn_within", "forward", SIZE=size)
        forward = run.bind(count, x, y, s, *shape[2:], op.alpha, op.beta, op.k)
        if not self.has_backward:
            return forward, None
        assert memory.workspace is not None
        dy, dx = gradients(memory)
        r = memory.workspace.address
        ratio = self.kernel("lrn_within", "ratio", SIZE=size).bind(count, x, dy, s, r, op.beta)
        run = self.kernel("lrn_within", "backward", SIZE=size)
        last = run.bind(count, x, dy, s, r, dx, *shape[2:], op.alpha, op.beta)
        return forward, several([ratio, last])
