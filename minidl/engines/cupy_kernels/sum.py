"""Plans for `ops.Sum`: weighted sums (Eltwise), and the sum of a Split's gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minidl import ops
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run, several
from minidl.engines.request import Declined, Request

MOST = 4  # terms that one launch adds up


@OPERATORS.serves(ops.Sum)
def plans(engine: Engine, op: ops.Sum, request: Request) -> Iterator[Plan] | Declined:
    """Offer sums of up to four terms in one launch, of more in several."""
    if op.then is not None:
        return Declined("it ends a sum with nothing else")
    kind = SplitPlan if op.split else SumPlan
    return iter([kind(device=engine.device, algorithm="kernel", request=request, op=op)])


@dataclass(kw_only=True)
class SumPlan(PlainPlan):
    """y = the weighted sum of the bottoms; dx[i] = weight[i] * dy."""

    op: ops.Sum

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        weights, y = self.op.weights, memory.top_memory[0].address
        forward = self.sum([m.address for m in memory.bottom_memory], weights, y)
        if not self.has_backward:
            return several(forward), None
        dy, backward = memory.top_diff_memory[0].address, []
        # The first bottom comes last: in place, its gradient takes the place of dy.
        for dx, weight in reversed(list(zip(memory.bottom_diff_memory, weights, strict=True))):
            if dx is not None:
                backward += self.sum([dy], [weight], dx.address)
        return several(forward), several(backward)

    def sum(self, terms: Sequence[int], weights: Sequence[float], total: int) -> list[Run]:
        """Return the launches for a weighted sum of arrays into `total`, which may be the first."""
        if list(terms) == [total] and weights[0] == 1:
            return []
        # Beyond MOST terms, what is summed so far is the first term of the next launch.
        launches, rest = [], list(zip(terms, weights, strict=True))
        while rest:
            now, rest = rest[:MOST], rest[MOST:]
            launches.append(self._launch(now, total))
            if rest:
                rest.insert(0, (total, 1.0))
        return launches

    def _launch(self, terms: Sequence[tuple[int, float]], total: int) -> Run:
        none = [(0, 0.0)] * (MOST - len(terms))
        addresses, weights = zip(*terms, *none, strict=True)
        count = math.prod(self.request.bottom_shapes[0])
        add = self.kernel("sum", "weighted_sum", TERMS=len(terms))
        return add.bind(count, *addresses, total, *map(float, weights))


class SplitPlan(SumPlan):
    """Nothing forward, where the tops are the bottom's memory; dx = the sum of all dy."""

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        if not self.has_backward:
            return several([]), None
        (dx,), terms = memory.bottom_diff_memory, [dy.address for dy in memory.top_diff_memory]
        assert dx is not None
        return several([]), several(self.sum(terms, self.op.weights, dx.address))
