"""Plans for `ops.Activation`: ReLU, sigmoid and tanh of every element."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from minidl import ops
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan, gradients
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Request


@OPERATORS.serves(ops.Activation)
def plans(engine: Engine, op: ops.Activation, request: Request) -> Iterator[Plan]:
    """Offer one kernel each way, in place or not."""
    keeps = "top"
    if op.kind == "relu":
        keeps = "top sign" if op.slope >= 0 else "bottom"
    yield ActivationPlan(
        device=engine.device, algorithm="kernel", request=request, keeps=(keeps,), op=op
    )


@dataclass(kw_only=True)
class ActivationPlan(PlainPlan):
    op: ops.Activation

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        op, count = self.op, math.prod(self.request.top_shapes[0])
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        slope = (op.slope,) if op.kind == "relu" else ()
        forward = self.kernel("activation", f"{op.kind}_forward").bind(count, x, y, *slope)
        if not self.has_backward:
            return forward, None
        seen = x if "bottom" in self.keeps else y
        backward = self.kernel("activation", f"{op.kind}_backward")
        return forward, backward.bind(count, seen, *gradients(memory), *slope)
