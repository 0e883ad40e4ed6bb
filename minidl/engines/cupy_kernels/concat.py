"""Plans for `ops.Concat`: arrays one after the other along an axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from minidl import ops
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run, several
from minidl.engines.request import Request


@OPERATORS.serves(ops.Concat)
def plans(engine: Engine, op: ops.Concat, request: Request) -> Iterator[Plan]:
    """Offer one launch for each bottom, each way.

    Array code would do as well for few bottoms; where there are more than eight small ones, CuPy's
    concatenate uploads a list of their addresses in every call, which no graph can capture.
    """
    yield ConcatPlan(device=engine.device, algorithm="kernel", request=request, op=op)


@dataclass(kw_only=True)
class ConcatPlan(PlainPlan):
    op: ops.Concat

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        y = memory.top_memory[0].address
        forward = [
            self._copy("join", i, m.address, y)
            for i, m in enumerate(memory.bottom_memory)
            if m.address != y  # a single bottom is the top
        ]
        if not self.has_backward:
            return several(forward), None
        dy = memory.top_diff_memory[0].address
        backward = [
            self._copy("cut", i, dy, dx.address)
            for i, dx in enumerate(memory.bottom_diff_memory)
            if dx is not None and dx.address != dy
        ]
        return several(forward), several(backward)

    def _copy(self, way: str, i: int, source: int, target: int) -> Run:
        """Return the launch from bottom i to its place in the top, or back."""
        axis, shapes = self.op.axis % len(self.request.top_shapes[0]), self.request.bottom_shapes
        step = math.prod(shapes[0][axis + 1 :])
        slice_, stretch = shapes[i][axis] * step, self.request.top_shapes[0][axis] * step
        start = sum(shape[axis] for shape in shapes[:i]) * step
        count = math.prod(shapes[i])
        return self.kernel("concat", way).bind(count, source, target, slice_, stretch, start)
