"""Plans for `ops.BatchNorm`: channels brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from minidl import ops
from minidl.arrays.device import Device
from minidl.arrays.memory import Shape, nbytes
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Statistics, Tensor
from minidl.engines.cudnn.operators import OPERATORS
from minidl.engines.cudnn.plan import (
    Call,
    CudnnPlan,
    arriving,
    dtype_of,
    like,
    order_of,
    sequence,
    wants_backward,
)
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import ALIGNMENT_ON_GPUS, Bindings, Plan, Run, several
from minidl.engines.request import UNDECIDED, Declined, Request

STATISTICS = ("mean", "variance", "scale_factor")
MODE = api.BATCHNORM_SPATIAL


@OPERATORS.serves(ops.BatchNorm)
def plans(engine: Any, op: ops.BatchNorm, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan in the order in which the bottom arrives.

    The library keeps moving averages, Caffe decaying sums and their weight. So the library is told
    to forget (its factor is 1: the averages are then the batch's mean and unbiased variance), and
    these are added to Caffe's sums.
    """
    shape, layout = request.bottom_shapes[0], arriving(request)
    if any(home not in (None, UNDECIDED) for home in request.homes):
        return Declined("it needs the statistics in plain arrays")
    backward = wants_backward(request)
    if not op.global_stats:
        if math.prod(shape) == shape[1]:
            return Declined("a channel has one value, whose unbiased variance it does not define")
        if backward and request.in_place:
            return Declined("its backward reads the bottom, which the top has overwritten")
    if order_of(layout) == "nhwc" and len(shape) != 4:
        layout = None
    kind = _Global if op.global_stats else _Batch
    images = engine.trials.images(shape, arrays=4)
    # The unbiased variance of one value is not defined: the trial needs two.
    few = images if images * math.prod(shape[2:]) > 1 else min(2, shape[0])
    few_shape = few, *shape[1:]
    sizes = [nbytes(few_shape, like(layout, few_shape), "float32")] * 4
    sizes += [4 * shape[1]] * len(kind.ROOMS)

    def calls(x: int, y: int, dx: int, dy: int, *rooms: int) -> list[Call]:
        made = kind(op, few_shape, like(layout, few_shape))
        first = made.forward(x, y, rooms)
        return [*first, *(made.backward(x, dx, dy, rooms) if backward else [])]

    key = "batch norm", op, few_shape, like(layout, few_shape), backward
    if refusal := engine.trials.refusal(key, sizes, calls):
        return Declined(refusal)
    return iter([_plan(engine, kind(op, shape, layout), backward, layout)])


def _plan(engine: Any, made: _Kind, backward: bool, layout: Dense | None) -> BatchNormPlan:
    lies = (layout,)
    return BatchNormPlan(
        device=engine.device,
        algorithm="spatial",
        made=made,
        keeps=("bottom",) if backward and isinstance(made, _Batch) else (),
        bottom_layouts=lies,
        top_layouts=lies,
        params=dict.fromkeys(STATISTICS),
        saved=len(made.KEPT) * 4 * _row(made) if backward else 0,
    )


class _Kind:
    """The calls of one kind of batch normalisation.

    ROOMS   names of the rows of C float32 numbers that it works with: see the kinds
    KEPT    those of them that backward has from forward
    """

    ROOMS: tuple[str, ...] = ()
    KEPT: tuple[str, ...] = ()

    def __init__(self, op: ops.BatchNorm, shape: Shape, layout: Dense | None) -> None:
        self.op, self.channels = op, shape[1]
        # All spatial axes as one: statistics are those of a channel, wherever its elements are.
        dims = shape[0], shape[1], math.prod(shape[2:]), 1
        self.data = Tensor(dims, dtype_of(layout), order_of(layout))
        self.rows = Statistics(self.data)

    def forward(self, x: int, y: int, rooms: tuple[int, ...]) -> list[Call]:
        raise NotImplementedError

    def backward(self, x: int, dx: int, dy: int, rooms: tuple[int, ...]) -> list[Call]:
        raise NotImplementedError


class _Batch(_Kind):
    """Normalises by the statistics of each batch.

    one, zero        the scale and shift that there is not
    mean, variance   of the batch; the variance unbiased
    kept, inverse    the mean again and 1 / deviation, as the library wants them for backward
    dscale, dshift   gradients that nobody asks for, and the library writes all the same
    """

    ROOMS = ("one", "zero", "mean", "variance", "kept", "inverse", "dscale", "dshift")
    KEPT = ("kept", "inverse")

    def forward(self, x: int, y: int, rooms: tuple[int, ...]) -> list[Call]:
        one, zero, mean, variance, kept, inverse, *_ = rooms
        pair = self.data, x, self.data, y
        forgetting = 1.0, mean, variance
        given = self.rows, one, zero, *forgetting, self.op.eps, kept, inverse
        name = "cudnnBatchNormalizationForwardTraining"
        return [(name, MODE, api.ONE, api.ZERO, *pair, *given)]

    def backward(self, x: int, dx: int, dy: int, rooms: tuple[int, ...]) -> list[Call]:
        one, _, _, _, kept, inverse, dscale, dshift = rooms
        arrays = self.data, x, self.data, dy, self.data, dx
        given = self.rows, one, dscale, dshift, self.op.eps, kept, inverse
        factors = (api.ONE, api.ZERO) * 2
        return [("cudnnBatchNormalizationBackward", MODE, *factors, *arrays, *given)]


class _Global(_Kind):
    """Normalises by what was seen in training: both ways by the library's inference call.

    one, zero        as above; `zero` is the mean, too, in backward: dx is to dy as y is to x
    mean, variance   the sums over their weight
    """

    ROOMS = ("one", "zero", "mean", "variance")

    def forward(self, x: int, y: int, rooms: tuple[int, ...]) -> list[Call]:
        one, zero, mean, variance, *_ = rooms
        return [self._inference(x, y, one, zero, mean, variance)]

    def backward(self, x: int, dx: int, dy: int, rooms: tuple[int, ...]) -> list[Call]:
        one, zero, _, variance, *_ = rooms
        return [self._inference(dy, dx, one, zero, zero, variance)]

    def _inference(self, source: int, target: int, *rows: int) -> Call:
        name = "cudnnBatchNormalizationForwardInference"
        pair = self.data, source, self.data, target
        return (name, MODE, api.ONE, api.ZERO, *pair, self.rows, *rows, self.op.eps)


@dataclass(kw_only=True)
class BatchNormPlan(CudnnPlan):
    """y = (x - mean) / sqrt(variance + eps), by global statistics or by the batch's.

    The rows of numbers that it works with are its own: `one` and `zero` have to stay. Those that
    backward has from forward are in `saved`.
    """

    made: _Kind

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        made, device = self.made, self.device
        rooms = _rooms(device, made)
        if memory.saved is not None:
            rooms |= _kept(made, memory.saved.array)
        at = tuple(device.address(room) for room in rooms.values())
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        normalise = sequence(device, made.forward(x, y, at), keep=rooms)
        if made.op.global_stats:
            forward = several([_averages(device, memory, rooms), normalise])
        else:
            forward = several([normalise, _sums(device, made, memory, rooms)])
        gradients = memory.gradients()
        if gradients is None:
            return forward, None
        dx, dy = gradients
        return forward, sequence(device, made.backward(x, dx.address, dy.address, at), keep=rooms)


def _rooms(device: Device, made: _Kind) -> dict[str, Any]:
    """Allocate the rows by name, aligned; `one` holds ones, the others zeros."""
    with device.current():
        every = device.zeros((len(made.ROOMS), _row(made)), "float32")
        every[0].fill(1)
    return {name: every[i, : made.channels] for i, name in enumerate(made.ROOMS)}


def _kept(made: _Kind, saved: Any) -> dict[str, Any]:
    """Find the rows that backward has from forward, by name, in these bytes."""
    rows = saved.view("float32").reshape(len(made.KEPT), -1)
    return {name: rows[i, : made.channels] for i, name in enumerate(made.KEPT)}


def _row(made: _Kind) -> int:
    """Return the elements from one row to the next, so that each is aligned."""
    return -(-4 * made.channels // ALIGNMENT_ON_GPUS) * ALIGNMENT_ON_GPUS // 4


def _sums(device: Device, made: _Kind, memory: Bindings, rooms: Mapping[str, Any]) -> Run:
    """Compute statistic = fraction * statistic + what the batch says, for each of the three."""
    fraction, single = api.factor(made.op.fraction), Tensor((1, 1, 1, 1))
    now = {"mean": rooms["mean"], "variance": rooms["variance"], "scale_factor": rooms["one"]}
    params = [memory.params[name] for name in STATISTICS]
    calls: list[Call] = []
    for (name, row), param in zip(now.items(), params, strict=True):
        rows = single if name == "scale_factor" else made.rows
        pair = rows, device.address(row), fraction, rows, param.values.memory.address
        calls.append(("cudnnAddTensor", api.ONE, *pair))
    add = sequence(device, calls)

    def run() -> None:
        add()
        for param in params:
            param.values.touch()

    return run


def _averages(device: Device, memory: Bindings, rooms: Mapping[str, Any]) -> Run:
    """Divide the sums by their weight; 0 before the first batch.

    In array code on a few numbers, without asking the device for any of them.
    """
    xp = device.xp
    mean, variance, factor = (memory.params[name].values.memory.array for name in STATISTICS)
    with device.current():
        unseen, seen = (xp.zeros(1, xp.bool_) for _ in range(2))
        weight = xp.zeros(1, xp.float32)

    def run() -> None:
        xp.equal(factor, 0, out=unseen)
        xp.logical_not(unseen, out=seen)
        xp.add(factor, unseen, out=weight)  # the factor, or 1 in the place of 0
        xp.divide(seen, weight, out=weight)
        xp.multiply(mean, weight, out=rooms["mean"])
        xp.multiply(variance, weight, out=rooms["variance"])

    return run
