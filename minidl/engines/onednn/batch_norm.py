"""Plans for `ops.BatchNorm`: channels brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.memory import Memory, Shape, padded
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.arrangement import BLOCKS, blocked, has_blocks
from minidl.engines.onednn.follow import wants_backward
from minidl.engines.onednn.layout import DnnlLayout, arriving, plain_or, reorder
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.onednn.primitive import Description, favourite, sequence
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import UNDECIDED, Declined, Request

STATISTICS = ("mean", "variance", "scale_factor")


@OPERATORS.serves(ops.BatchNorm)
def plans(engine: Engine, op: ops.BatchNorm, request: Request) -> Iterator[Plan] | Declined:
    """Offer blocks of channels: other arrangements take the library several times as long.

    For the gradient the batch's statistics are in `saved`; and in place, where y overwrites x, a
    copy of x before them.
    """
    shape = request.bottom_shapes[0]
    if any(home not in (None, UNDECIDED) for home in request.homes):
        return Declined("it needs the statistics in plain arrays")
    arrived = arriving(request.bottom_layouts[0], shape)
    dtype = api.BF16 if request.math.halves else arrived.dtype
    blocks = [blocked(shape, dtype, block) for block in BLOCKS if has_blocks(shape)]
    for data in [arrived, *blocks] if arrived in blocks else [*blocks, arrived]:
        plan = _global(op, request, data) if op.global_stats else _batch(op, request, data)
        if plan is not None:
            return iter([plan])
    return Declined("batch normalisation: only reference code, slower than NumPy")


@dataclass(kw_only=True)
class BatchNormPlan(Plan):
    """y = (x - mean) / sqrt(variance + eps), by global statistics or by the batch's.

    shape      of the bottom
    forward    with the batch's statistics it gives them, otherwise it takes them
    backward   of the batch's; with global ones dx is to dy as y is to x, but for the mean
    copy       of x, before y overwrites it
    statistics_at   where in `saved` mean and variance are
    """

    op: ops.BatchNorm
    shape: Shape
    forward: Description
    backward: Description | None = None
    copy: Description | None = None
    statistics_at: int = 0

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        bound = (_Global if self.op.global_stats else _Batch)(self, memory)
        return bound.forward, bound.backward if self.bottom_diff_layouts else None


class _Global:
    """Bound, with global statistics."""

    def __init__(self, plan: BatchNormPlan, memory: Bindings) -> None:
        self.params = [memory.params[name] for name in STATISTICS]
        self.mean, self.variance, self.zero = np.zeros((3, plan.shape[1]), np.float32)
        scratchpad = memory.workspace.address if memory.workspace is not None else 0

        def run(source: Memory, target: Memory, mean: np.ndarray) -> Run:
            data = {api.SRC: source.address, api.DST: target.address}
            used = {api.MEAN: mean.ctypes.data, api.VARIANCE: self.variance.ctypes.data}
            return sequence([plan.forward.step({**data, **used}, scratchpad)])

        self.normalise = run(memory.bottom_memory[0], memory.top_memory[0], self.mean)
        if plan.bottom_diff_layouts:
            (dx,), (dy,) = memory.bottom_diff_memory, memory.top_diff_memory
            assert dx is not None
            self.scale = run(dy, dx, self.zero)

    def forward(self) -> None:
        mean, variance, factor = (param.values.memory.array for param in self.params)
        # The statistics are sums over batches; their weight is in the third parameter, as in Caffe.
        weight = 1 / factor[0] if factor[0] else 0  # nothing was seen before: mean 0, variance 0
        np.multiply(mean, weight, out=self.mean)
        np.multiply(variance, weight, out=self.variance)
        self.normalise()

    def backward(self) -> None:
        self.scale()


class _Batch:
    """Bound, with the statistics of each batch, which are then added to the global ones."""

    def __init__(self, plan: BatchNormPlan, memory: Bindings) -> None:
        self.params = [memory.params[name] for name in STATISTICS]
        self.mean, self.variance = self._statistics(plan, memory)
        self.fraction, self.count = plan.op.fraction, math.prod(plan.shape) // plan.shape[1]
        used = {api.MEAN: self.mean.ctypes.data, api.VARIANCE: self.variance.ctypes.data}
        scratchpad = memory.workspace.address if memory.workspace is not None else 0
        x, y, steps = memory.bottom_memory[0].address, memory.top_memory[0].address, []
        # In place y overwrites x, which backward needs: forward then reads from a copy in `saved`.
        if plan.copy is not None:
            assert memory.saved is not None
            kept = memory.saved.address
            steps.append(plan.copy.step({api.SRC: x, api.DST: kept}, scratchpad))
            x = kept
        steps.append(plan.forward.step({api.SRC: x, api.DST: y, **used}, scratchpad))
        self.normalise = sequence(steps)
        if plan.backward is not None:
            (dx,), (dy,) = memory.bottom_diff_memory, memory.top_diff_memory
            assert dx is not None
            gradients = {api.DIFF_SRC: dx.address, api.DIFF_DST: dy.address}
            step = plan.backward.step({api.SRC: x, **gradients, **used}, scratchpad)
            self.derive = sequence([step])

    @staticmethod
    def _statistics(plan: BatchNormPlan, memory: Bindings) -> Any:
        if memory.saved is None:
            return np.zeros((2, plan.shape[1]), np.float32)
        kept = memory.saved.array[plan.statistics_at :]
        return kept[: 8 * plan.shape[1]].view(np.float32).reshape(2, -1)

    def forward(self) -> None:
        self.normalise()
        # The library gives the biased variance, Caffe accumulates the unbiased one.
        unbiased = self.count / (self.count - 1) if self.count > 1 else 1
        for param, now in zip(self.params, (self.mean, self.variance * unbiased, 1), strict=True):
            statistic = param.values.memory.array
            statistic *= self.fraction
            statistic += now
            param.values.touch()

    def backward(self) -> None:
        self.derive()


def _global(op: ops.BatchNorm, request: Request, data: DnnlLayout) -> Plan | None:
    numbers = op.eps, api.USE_GLOBAL_STATS
    forward = _fast("forward", api.FORWARD_INFERENCE, data, data, *numbers)
    return None if forward is None else _stated(op, request, data, forward)


def _batch(op: ops.BatchNorm, request: Request, data: DnnlLayout) -> Plan | None:
    numbers = op.eps, 0
    # Even where no backward follows: as inference it would keep the statistics to itself.
    forward = _fast("forward", api.FORWARD_TRAINING, data, data, *numbers)
    if forward is None:
        return None
    plan = _stated(op, request, data, forward)
    if not wants_backward(request):
        return plan
    backward = _fast("backward", api.BACKWARD_DATA, data, data, data, *numbers, forward)
    if backward is None:
        return None
    plan.backward = backward
    plan.passes = {**plan.passes, "backward": backward.name}
    plan.workspace = max(plan.workspace, backward.scratchpad)
    if request.in_place:
        plan.copy, plan.statistics_at = reorder(data, data), padded(data.nbytes)
        plan.workspace = max(plan.workspace, plan.copy.scratchpad)
    else:
        plan.keeps = ("bottom",)
    plan.saved = (
        plan.statistics_at + 2 * request.bottom_shapes[0][1] * np.dtype(np.float32).itemsize
    )
    return plan


def _fast(way: str, *args: Any) -> Description | None:
    found = favourite(f"batch_normalization_{way}", *args)
    return None if found is None or found.reference else found


def _stated(
    op: ops.BatchNorm, request: Request, data: DnnlLayout, forward: Description
) -> BatchNormPlan:
    """Return what the plans of both kinds have in common."""
    layouts = (plain_or(data),)
    gradients = layouts if wants_backward(request) else ()
    return BatchNormPlan(
        op=op,
        shape=request.bottom_shapes[0],
        forward=forward,
        algorithm=forward.name,
        passes={"forward": forward.name},
        workspace=forward.scratchpad,
        bottom_layouts=layouts,
        top_layouts=layouts,
        bottom_diff_layouts=gradients,
        top_diff_layouts=gradients,
        params=dict.fromkeys(STATISTICS),
    )
