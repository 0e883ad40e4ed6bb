"""Plans for `ops.Softmax`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan, gradients
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Request

WARP = 32


class Scores(NamedTuple):
    """An array of scores: items, each with its classes `inner` numbers apart."""

    items: int
    classes: int
    inner: int

    @property
    def team(self) -> str:
        """Who works on an item: "warps" where its classes lie close to one another, else "threads",
        which then read the classes of neighbouring items side by side."""
        return "warps" if self.inner < WARP else "threads"


def scores(shape: Shape, axis: int) -> Scores:
    """Describe scores with the classes on an axis, which may count from the end.

    >>> scores((64, 10), 1), scores((2, 21, 30, 40), -3)
    (Scores(items=64, classes=10, inner=1), Scores(items=2400, classes=21, inner=1200))
    """
    axis %= len(shape)
    inner = math.prod(shape[axis + 1 :])
    return Scores(math.prod(shape[:axis]) * inner, shape[axis], inner)


@OPERATORS.serves(ops.Softmax)
def plans(engine: Engine, op: ops.Softmax, request: Request) -> Iterator[Plan]:
    """Offer one kernel each way, in place or not, along any axis."""
    given = scores(request.bottom_shapes[0], op.axis)
    yield SoftmaxPlan(
        device=engine.device,
        algorithm=f"kernel:{given.team}",
        request=request,
        keeps=("top",),
        scores=given,
    )


@dataclass(kw_only=True)
class SoftmaxPlan(PlainPlan):
    scores: Scores

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        items, classes, inner = self.scores
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        forward = self.kernel("softmax", f"forward_by_{self.scores.team}")
        backward = self.kernel("softmax", f"backward_by_{self.scores.team}")
        run = forward.bind(items, x, y, classes, inner)
        if not self.has_backward:
            return run, None
        return run, backward.bind(items, y, *gradients(memory), classes, inner)
