"""Plans for `ops.Sum`: weighted sums of arrays, and the gradient of an array that was split."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minidl import ops
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.layout import DnnlLayout, arriving, plain, plain_or
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.onednn.primitive import Description, Step, attributes, favourite, sequence
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Declined, Request


@OPERATORS.serves(ops.Sum)
def plans(engine: Engine, op: ops.Sum, request: Request) -> Iterator[Plan] | Declined:
    """Offer the arrangement of the first bottom: each array is one row of numbers.

    Zeros that fill up a last block stay zeros.
    """
    shape = request.bottom_shapes[0]
    if not shape:
        return Declined("it takes arrays of at least 1 axis, not 0")
    # Adding is the same for all elements, so the arrays may be taken as rows, padding included.
    data = arriving(request.bottom_layouts[0], shape)
    row = plain((data.nbytes // api.ITEMSIZE[data.dtype],), data.dtype)
    if op.split:
        return iter([_split_plan(request, data, row)])
    plan = _sum_plan(op, request, data, row)
    if plan is None:
        return Declined(f"only reference code for {len(op.weights)} weighted terms")
    return iter([plan])


@dataclass(kw_only=True)
class SumPlan(Plan):
    """y = the weighted sum of the bottoms; dx[i] = weight[i] * dy.

    backwards   for each bottom; None where no gradient is wanted
    """

    forward: Total
    backwards: Sequence[Total | None] = ()

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        forward = self.forward.steps(
            [m.address for m in memory.bottom_memory], memory.top_memory[0].address
        )
        if not self.backwards:
            return sequence(forward), None
        dy, backward = memory.top_diff_memory[0].address, []
        # The first bottom comes last: in place, its gradient takes the place of dy.
        for dx, times in reversed(
            list(zip(memory.bottom_diff_memory, self.backwards, strict=True))
        ):
            if times is not None:
                assert dx is not None
                backward += times.steps([dy], dx.address)
        return sequence(forward), sequence(backward)


@dataclass(kw_only=True)
class SplitPlan(Plan):
    """Nothing forward, where the tops are the bottom's memory; dx = the sum of all dy."""

    backward: Total | None

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        if self.backward is None:
            return sequence([]), None
        (dx,) = memory.bottom_diff_memory
        assert dx is not None
        steps = self.backward.steps([dy.address for dy in memory.top_diff_memory], dx.address)
        return sequence([]), sequence(steps)


class Total:
    """The weighted sum of several rows of numbers; `then` ends it, if all weights are 1.

    Plain sums are added up two at a time: the library's own operation for sums takes three times
    as long for two terms in float32.
    """

    def __init__(
        self, row: DnnlLayout, weights: Sequence[float], then: ops.Activation | None = None
    ) -> None:
        self.in_pairs = len(weights) > 1 and set(weights) == {1.0}
        self.only_copies = list(weights) == [1.0]
        count = len(weights)
        if self.in_pairs:
            pair = "binary", api.BINARY_ADD, row, row, row
            found = favourite(*pair)
            last = found if then is None else favourite(*pair, attr=attributes(then))
        else:
            rows = (ctypes.c_void_p * count)(*[row._as_parameter_] * count)
            found = favourite("sum", row, count, (ctypes.c_float * count)(*weights), rows)
            last = found
        assert found is not None and last is not None
        self.operation: Description = found
        self.last: Description = last

    def steps(self, terms: Sequence[int], total: int) -> list[Step]:
        """Return the steps from the terms' addresses to the total's, maybe the first term's."""
        if self.only_copies and terms[0] == total:
            return []
        if not self.in_pairs:
            sources = {api.MULTIPLE_SRC + i: term for i, term in enumerate(terms)}
            return [self.operation.step({**sources, api.DST: total})]
        # t0 + t1 -> total, total + t2 -> total, ...
        so_far = [terms[0], *[total] * (len(terms) - 2)]
        each = [self.operation] * (len(terms) - 2) + [self.last]
        return [
            add.step({api.SRC: left, api.SRC_1: right, api.DST: total})
            for add, left, right in zip(each, so_far, terms[1:], strict=True)
        ]


def _sum_plan(op: ops.Sum, request: Request, data: DnnlLayout, row: DnnlLayout) -> SumPlan | None:
    if op.then is not None and (set(op.weights) != {1.0} or len(op.weights) < 2):
        return None
    forward = Total(row, op.weights, op.then)
    if forward.operation.reference:
        return None
    layout = plain_or(data)
    plan = SumPlan(
        algorithm=forward.operation.name,
        forward=forward,
        bottom_layouts=(layout,) * len(op.weights),
        top_layouts=(layout,),
    )
    if request.backward and any(request.wanted):
        plan.backwards = [
            Total(row, [weight]) if want else None
            for weight, want in zip(op.weights, request.wanted, strict=True)
        ]
    return plan


def _split_plan(request: Request, data: DnnlLayout, row: DnnlLayout) -> SplitPlan:
    back = request.backward and request.wanted[0]
    total = Total(row, [1.0] * len(request.top_shapes)) if back else None
    return SplitPlan(
        algorithm=total.operation.name if total is not None else "none",
        backward=total,
        bottom_layouts=(plain_or(data),),
        top_layouts=(plain_or(data),) * len(request.top_shapes),
    )
