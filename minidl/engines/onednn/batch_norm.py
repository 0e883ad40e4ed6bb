"""Plans for `ops.BatchNorm` and `ops.Affine`, and for chains of the two and a ReLU.

The library's batch normalisation computes y = scale * (x - mean) / sqrt(variance + eps) + shift,
and a ReLU of it, in one pass over memory each way. By mean 0, variance 1 and eps 0 it is the
affine map y = scale * x + shift.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.blob import Param
from minidl.arrays.memory import Shape
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.arrangement import BLOCKS, arrangement_of, blocked, has_blocks
from minidl.engines.onednn.follow import argument_bytes
from minidl.engines.onednn.layout import DnnlLayout, channels_last, plain, plain_or, reorder
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.onednn.primitive import Description, Step, favourite, sequence
from minidl.engines.plan import Bindings, Plan, Run, packed
from minidl.engines.request import UNDECIDED, Declined, Request

STATISTICS = ("mean", "variance", "scale_factor")
GRADIENTS = {api.SCALE: api.DIFF_SCALE, api.SHIFT: api.DIFF_SHIFT}


@dataclass(frozen=True)
class Norm:
    """A normalisation, an affine map and a ReLU, or some of them; parameters by name.

    statistics     mean, variance and their weight; () without a normalisation
    batch          those of the batch are used, and added to the statistics
    scale, shift   "": none
    """

    statistics: tuple[str, ...] = ()
    batch: bool = False
    eps: float = 0.0
    fraction: float = 0.0
    scale: str = ""
    shift: str = ""
    relu: bool = False

    @property
    def flags(self) -> int:
        """The library's."""
        flags = 0 if self.batch else api.USE_GLOBAL_STATS
        flags |= api.USE_SCALE if self.scale else 0
        flags |= api.USE_SHIFT if self.shift else 0
        return flags | (api.FUSE_NORM_RELU if self.relu else 0)

    @property
    def factors(self) -> dict[int, str]:
        """The names of scale and shift, by the library's argument."""
        found = {api.SCALE: self.scale, api.SHIFT: self.shift}
        return {argument: name for argument, name in found.items() if name}


def norm_of(op: ops.BatchNorm | ops.Affine | ops.Chain) -> Norm | None:
    """Read an operator; None for a chain of others."""
    facts: dict[str, Any] = {}
    for k, part in enumerate(op.ops if isinstance(op, ops.Chain) else (op,)):
        name = ops.Chain.param
        if isinstance(part, ops.BatchNorm) and k == 0:
            facts = {"eps": part.eps, "fraction": part.fraction, "batch": not part.global_stats}
            facts["statistics"] = STATISTICS
        elif isinstance(part, ops.Affine) and not {"scale", "relu"} & facts.keys():
            facts["scale"] = name(k, "scale") if part.scale else ""
            facts["shift"] = name(k, "bias") if part.bias else ""
        elif isinstance(part, ops.Activation) and part == ops.Activation("relu") and k:
            facts["relu"] = True
        else:
            return None
    return Norm(**facts)


@OPERATORS.serves(ops.BatchNorm)
@OPERATORS.serves(ops.Affine)
def plans(engine: Engine, op: Any, request: Request) -> Iterator[Plan] | Declined:
    """Offer channels last if they come so, else channels in blocks: both are read in one pass.

    For the gradient the batch's statistics are in `saved`; and in place, where y overwrites x, a
    copy of x before them.
    """
    norm, shape = norm_of(op), request.bottom_shapes[0]
    if norm is None:
        return Declined("it has no plan for this chain")
    if any(home not in (None, UNDECIDED) for home in request.homes):
        return Declined("it needs the parameters in plain arrays")
    if not _by_channel(op, request):
        return Declined("it scales channels alone, the axis 1")
    for data in _arrangements(request, shape):
        plan = _plan(norm, request, data)
        if plan is not None:
            return iter([plan])
    return Declined("batch normalisation: only reference code, slower than NumPy")


def _by_channel(op: Any, request: Request) -> bool:
    parts = op.ops if isinstance(op, ops.Chain) else (op,)
    shape = request.bottom_shapes[0]
    affine = [part for part in parts if isinstance(part, ops.Affine)]
    if len(shape) < 2 or len(request.bottom_shapes) > 1:
        return False
    sizes = {size for name, size in request.params if name.endswith(("scale", "bias"))}
    return all(part.axis % len(shape) == 1 for part in affine) and sizes <= {(shape[1],)}


def _arrangements(request: Request, shape: Shape) -> Iterator[DnnlLayout]:
    """Yield those of the bottom that may be fast, the one in which it arrives in front."""
    arrived = request.bottom_layouts[0]
    dtype = arrived.dtype if isinstance(arrived, DnnlLayout) else api.F32
    dtype = api.BF16 if request.math.halves else dtype
    arrange = arrangement_of(arrived)
    if arrived is not None and arrange is not None:
        yield arrange(shape, dtype)
    if has_blocks(shape):
        yield from (blocked(shape, dtype, block) for block in BLOCKS)
        yield channels_last(shape, dtype)
    yield plain(shape, dtype)


# ------------------------------------------------------------------ the plan


@dataclass(kw_only=True)
class NormPlan(Plan):
    """y = scale * (x - mean) / sqrt(variance + eps) + shift, and a ReLU of it.

    shape      of the bottom
    forward    with the batch's statistics it gives them, otherwise it takes them
    backward   of all of it; or, where dx is to dy as y is to x but for mean and shift, `turned`
    copy       of x, before y overwrites it
    learning   names of the parameters whose gradients are asked for
    places     where in `saved` are: x, mean and variance, what the library keeps
    aside      where in the workspace dx is, if nobody wants it
    """

    norm: Norm
    shape: Shape
    forward: Description
    backward: Description | None = None
    turned: Description | None = None
    copy: Description | None = None
    learning: tuple[str, ...] = ()
    places: Sequence[int] = (0, 0, 0)
    aside: int = 0

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        bound = _Bound(self, memory)
        return bound.forward(), bound.backward()


@dataclass
class _Bound:
    """A plan on its memory."""

    plan: NormPlan
    memory: Bindings
    statistics: np.ndarray = field(init=False)  # (2, C): mean and variance

    def __post_init__(self) -> None:
        channels = self.plan.shape[1]
        if self.plan.norm.batch and self.plan.backward is not None:
            assert self.memory.saved is not None
            kept = self.memory.saved.array[self.plan.places[1] :]
            self.statistics = kept[: 8 * channels].view(np.float32).reshape(2, -1)
        else:
            self.statistics = np.zeros((2, channels), np.float32)
            self.statistics[1] = 1.0

    def _room(self, start: int = 0) -> int:
        workspace = self.memory.workspace
        return workspace.address + start if workspace is not None else 0

    def _kept(self, k: int) -> int:
        return self.memory.saved.address + self.plan.places[k] if self.memory.saved else 0

    def _given(self, mean: np.ndarray, without: tuple[int, ...] = ()) -> dict[int, int]:
        """Return the addresses of statistics, scale and shift."""
        given = {api.MEAN: mean.ctypes.data, api.VARIANCE: self.statistics[1].ctypes.data}
        for argument, name in self.plan.norm.factors.items():
            if argument not in without:
                given[argument] = self.memory.params[name].values.memory.address
        return given

    def forward(self) -> Run:
        plan, memory, steps = self.plan, self.memory, []
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        if plan.copy is not None:  # y overwrites x: it is read from a copy then, which stays
            steps.append(plan.copy.step({api.SRC: x, api.DST: self._kept(0)}, self._room()))
            x = self._kept(0)
        mean, _ = self.statistics
        given = {api.SRC: x, api.DST: y, **self._given(mean), **self._workspace()}
        steps.append(plan.forward.step(given, self._room(), keep=self.statistics))
        normalise = sequence(steps)
        if not plan.norm.statistics:
            return normalise
        return self._by_batch(normalise) if plan.norm.batch else self._by_statistics(normalise)

    def _workspace(self) -> dict[int, int]:
        """Return the address of what forward leaves for backward, where it leaves anything."""
        kept = argument_bytes(self.plan.forward, api.WORKSPACE)
        return {api.WORKSPACE: self._kept(2)} if kept else {}

    def _by_statistics(self, normalise: Run) -> Run:
        params = [self.memory.params[name] for name in self.plan.norm.statistics]
        mean, variance = self.statistics

        def forward() -> None:
            mean_sum, variance_sum, factor = (param.values.memory.array for param in params)
            # They are sums over batches; their weight is in the third parameter, as in Caffe.
            weight = 1 / factor[0] if factor[0] else 0  # nothing was seen: mean 0, variance 0
            np.multiply(mean_sum, weight, out=mean)
            np.multiply(variance_sum, weight, out=variance)
            normalise()

        return forward

    def _by_batch(self, normalise: Run) -> Run:
        plan, params = self.plan, [self.memory.params[name] for name in self.plan.norm.statistics]
        fraction, count = plan.norm.fraction, math.prod(plan.shape) // plan.shape[1]
        mean, variance = self.statistics

        def forward() -> None:
            normalise()
            # The library gives the biased variance, Caffe accumulates the unbiased one.
            unbiased = count / (count - 1) if count > 1 else 1
            for param, now in zip(params, (mean, variance * unbiased, 1), strict=True):
                statistic = param.values.memory.array
                statistic *= fraction
                statistic += now
                param.values.touch()

        return forward

    def backward(self) -> Run | None:
        plan, memory = self.plan, self.memory
        if not memory.top_diff_memory:
            return None
        dx, dy = memory.bottom_diff_memory[0], memory.top_diff_memory[0].address
        if plan.turned is not None:
            assert dx is not None
            zero = np.zeros(plan.shape[1], np.float32)
            given = {api.SRC: dy, api.DST: dx.address, **self._given(zero, (api.SHIFT,))}
            return sequence([plan.turned.step(given, self._room(), keep=(zero, self.statistics))])
        if plan.backward is None:
            return None
        x = self._kept(0) if plan.copy is not None else memory.bottom_memory[0].address
        given = self._given(self.statistics[0], (api.SHIFT,))
        given |= {api.SRC: x, api.DIFF_DST: dy, **self._workspace()}
        given[api.DIFF_SRC] = dx.address if dx is not None else self._room(plan.aside)
        return self._learn(given) if plan.norm.factors else self._run_back(given, None)

    def _run_back(self, given: dict[int, int], keep: Any) -> Run:
        assert self.plan.backward is not None
        keep = (keep, self.statistics)
        step: Step = self.plan.backward.step(given, self._room(), keep=keep)
        return sequence([step])

    def _learn(self, given: dict[int, int]) -> Run:
        """Bind with the gradients of scale and shift, which are added to what is there."""
        plan = self.plan
        found: dict[str, np.ndarray] = {}
        for argument, name in plan.norm.factors.items():
            found[name] = np.empty(plan.shape[1], np.float32)
            given[GRADIENTS[argument]] = found[name].ctypes.data
        run = self._run_back(given, found)
        params = {name: self.memory.params[name] for name in plan.learning}

        def backward() -> None:
            run()
            for name, param in params.items():
                _add(param, found[name])

        return backward


def _add(param: Param, gradient: np.ndarray) -> None:
    there = param.gradient.memory.array.reshape(-1)
    if param.gradient.fresh:
        there[...] = gradient
        param.gradient.fresh = False
    else:
        there += gradient


# ------------------------------------------------------------------ making it


def _plan(norm: Norm, request: Request, data: DnnlLayout) -> NormPlan | None:
    """Return the plan for data that lie so; None where a pass has nothing but reference code."""
    learning = tuple(n for n in norm.factors.values() if n in request.learning)
    descends = request.backward and (request.wanted[0] or bool(learning))
    # dx is dy as y is x, but for mean and shift, as long as nothing depends on x.
    turns = descends and not (learning or norm.batch or norm.relu)
    trains = norm.batch or (descends and not turns)  # as inference it keeps statistics to itself
    prop = api.FORWARD_TRAINING if trains else api.FORWARD_INFERENCE
    forward = _fast("forward", prop, data, data, norm.eps, norm.flags)
    if forward is None:
        return None
    plan = NormPlan(
        algorithm=forward.name,
        norm=norm,
        shape=request.bottom_shapes[0],
        forward=forward,
        learning=learning,
        passes={"forward": forward.name},
        workspace=forward.scratchpad,
        bottom_layouts=(plain_or(data),),
        top_layouts=(plain_or(data),),
        params=dict.fromkeys((*norm.statistics, *norm.factors.values())),
    )
    if turns:
        flags = norm.flags & ~api.USE_SHIFT
        plan.turned = _fast("forward", api.FORWARD_INFERENCE, data, data, norm.eps, flags)
        return plan if plan.turned is not None else None
    if descends and not _add_backward(plan, request, data):
        return None
    copied = data.nbytes if plan.copy is not None else 0
    statistics = 8 * plan.shape[1] if plan.backward is not None and norm.batch else 0
    plan.places, plan.saved = packed([copied, statistics, argument_bytes(forward, api.WORKSPACE)])
    return plan


def _add_backward(plan: NormPlan, request: Request, data: DnnlLayout) -> bool:
    """Complete a plan; False where the library has nothing but reference code for this pass."""
    norm = plan.norm
    prop = api.BACKWARD if norm.factors else api.BACKWARD_DATA  # without factors there is none
    back = _fast("backward", prop, data, data, data, norm.eps, norm.flags, plan.forward)
    if back is None:
        return False
    plan.backward = back
    plan.passes = {**plan.passes, "backward": back.name}
    scratchpads = [plan.forward.scratchpad, back.scratchpad]
    if request.in_place:
        plan.copy = reorder(data, data)
        scratchpads.append(plan.copy.scratchpad)
    else:
        plan.keeps = ("bottom",)
    unwanted = 0 if request.wanted[0] else data.nbytes
    (_, plan.aside), plan.workspace = packed([max(scratchpads), unwanted])
    return True


def _fast(way: str, *args: Any) -> Description | None:
    found = favourite(f"batch_normalization_{way}", *args)
    return None if found is None or found.reference else found
