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
        return (_bind_global if self.op.global_stats else _bind_batch)(self, memory)


def _bind_global(plan: BatchNormPlan, memory: Bindings) -> tuple[Run, Run | None]:
    """Bind with global statistics."""
    params = [memory.params[name] for name in STATISTICS]
    mean, variance, zero = np.zeros((3, plan.shape[1]), np.float32)
    scratchpad = memory.workspace.address if memory.workspace is not None else 0

    def scaled(source: Memory, target: Memory, mean: np.ndarray) -> Run:
        data = {api.SRC: source.address, api.DST: target.address}
        used = {api.MEAN: mean.ctypes.data, api.VARIANCE: variance.ctypes.data}
        step = plan.forward.step({**data, **used}, scratchpad, keep=(mean, variance))
        return sequence([step])

    normalise = scaled(memory.bottom_memory[0], memory.top_memory[0], mean)

    def forward() -> None:
        mean_sum, variance_sum, factor = (param.values.memory.array for param in params)
        # The statistics are sums over batches; their weight is in the third parameter, as in Caffe.
        weight = 1 / factor[0] if factor[0] else 0  # nothing was seen before: mean 0, variance 0
        np.multiply(mean_sum, weight, out=mean)
        np.multiply(variance_sum, weight, out=variance)
        normalise()

    gradients = memory.gradients()
    if gradients is None:
        return forward, None
    dx, dy = gradients
    return forward, scaled(dy, dx, zero)


def _bind_batch(plan: BatchNormPlan, memory: Bindings) -> tuple[Run, Run | None]:
    """Bind with the statistics of each batch, which are then added to the global ones."""
    params = [memory.params[name] for name in STATISTICS]
    fraction, count = plan.op.fraction, math.prod(plan.shape) // plan.shape[1]
    mean, variance = statistics = _statistics(plan, memory)
    used = {api.MEAN: mean.ctypes.data, api.VARIANCE: variance.ctypes.data}
    scratchpad = memory.workspace.address if memory.workspace is not None else 0
    x, y, steps = memory.bottom_memory[0].address, memory.top_memory[0].address, []
    # In place y overwrites x, which backward needs: forward then reads from a copy in `saved`.
    if plan.copy is not None:
        assert memory.saved is not None
        kept = memory.saved.address
        steps.append(plan.copy.step({api.SRC: x, api.DST: kept}, scratchpad))
        x = kept
    steps.append(plan.forward.step({api.SRC: x, api.DST: y, **used}, scratchpad, keep=statistics))
    normalise = sequence(steps)

    def forward() -> None:
        normalise()
        # The library gives the biased variance, Caffe accumulates the unbiased one.
        unbiased = count / (count - 1) if count > 1 else 1
        for param, now in zip(params, (mean, variance * unbiased, 1), strict=True):
            statistic = param.values.memory.array
            statistic *= fraction
            statistic += now
            param.values.touch()

    gradients = memory.gradients()
    if plan.backward is None or gradients is None:
        return forward, None
    dx, dy = gradients
    both = {api.DIFF_SRC: dx.address, api.DIFF_DST: dy.address}
    return forward, sequence([plan.backward.step({api.SRC: x, **both, **used}, scratchpad)])


def _statistics(plan: BatchNormPlan, memory: Bindings) -> Any:
    """Return room for mean and variance: in `saved`, where backward reads them again."""
    if memory.saved is None:
        return np.zeros((2, plan.shape[1]), np.float32)
    kept = memory.saved.array[plan.statistics_at :]
    return kept[: 8 * plan.shape[1]].view(np.float32).reshape(2, -1)


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
    return BatchNormPlan(
        op=op,
        shape=request.bottom_shapes[0],
        forward=forward,
        algorithm=forward.name,
        passes={"forward": forward.name},
        workspace=forward.scratchpad,
        bottom_layouts=(plain_or(data),),
        top_layouts=(plain_or(data),),
        params=dict.fromkeys(STATISTICS),
    )
