"""Convolution and its transpose by cuDNN: which orders of memory, which algorithms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.cudnn.choice import Choice, choose
from minidl.engines.cudnn.convolving import ConvolutionPlan
from minidl.engines.cudnn.epilogue import Trial
from minidl.engines.cudnn.library import CudnnError
from minidl.engines.cudnn.operators import OPERATORS
from minidl.engines.cudnn.problem import DATA, FILTER, FORWARD, Algorithm, Problem, Way
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.math import FLOAT32
from minidl.engines.plan import Plan
from minidl.engines.request import UNDECIDED, Declined, Request, no_convolution
from minidl.errors import DeviceError

Ask = Callable[[Problem, Way], Sequence[Algorithm]]


@OPERATORS.serves(ops.Conv)
def plans(engine: Any, op: ops.Conv, request: Request) -> Iterator[Plan] | Declined:
    """Offer plain arrays first, then channels last; each by heuristic, then as measured.

    In fp16 and bf16 bottom and top are halved, channels last: the tensor cores read them so.
    What is measured is so only when a third candidate is asked for: where all are to be tried.
    """
    if (refusal := no_convolution(request, most=3)) is not None:
        return refusal
    if any(home not in (None, UNDECIDED) for home in request.homes):
        return Declined("it needs the filters in plain arrays")
    if op.then is not None and (op.then.kind != "relu" or op.then.slope):
        return Declined(f"it has no {op.then.kind} of slope {op.then.slope:g}")
    problem = plain_problem(op, request)
    if isinstance(problem, Declined):
        return problem
    search = _Search(engine, op, request, problem)
    candidates = search.candidates()
    first = next(candidates, None)
    if first is None:
        return Declined("; ".join(dict.fromkeys(search.reasons)))
    return chain([first], candidates)


def plain_problem(op: ops.Conv, request: Request) -> Problem | Declined:
    """Describe the convolution in the library's terms, on plain float32 arrays.

    One spatial axis is made two, the second of length 1; all axes before the channels are images.
    """
    (bottom,), (top,) = request.bottom_shapes, request.top_shapes
    axes = len(request.params[0][1]) - 2
    op = op.over(axes)
    missing = max(0, 2 - axes)
    channels = len(bottom) - axes - 1
    map_, image = (
        (math.prod(shape[:channels]), *shape[channels:], *[1] * missing)
        for shape in ((bottom, top) if op.transposed else (top, bottom))
    )
    geometry = op.kernel, op.stride, op.dilation
    kernel, stride, dilation = ((*each, *[1] * missing) for each in geometry)
    pad = (*op.pad, *[0] * missing)
    for size, k, p, d in zip(image[2:], kernel, pad, dilation, strict=True):
        if size + 2 * p < d * (k - 1) + 1:
            return Declined("its kernels do not overhang the padded bottom, as this one does")
    # The library calls the wide side x and the narrow one y, for a transposed convolution, too,
    # whose bottom is then y.
    filters = (map_[1], image[1] // op.group, *kernel)
    math_ = FLOAT32 if request.math.halves else request.math
    return Problem(image, filters, map_, pad, stride, dilation, op.group, math=math_)


def ways(op: ops.Conv) -> dict[str, Way]:
    """Map the layer's passes to the library's; a transposed convolution swaps two of them."""
    forward, data = (DATA, FORWARD) if op.transposed else (FORWARD, DATA)
    return {"forward": forward, "backward data": data, "backward filter": FILTER}


class _Search:
    """All plans for one convolution. `reasons`: why there are not more of them."""

    def __init__(self, engine: Any, op: ops.Conv, request: Request, problem: Problem) -> None:
        self.engine, self.op, self.request, self.problem = engine, op, request, problem
        self.ways = ways(op)
        self.learning = request.learning if request.backward else ()
        if "weight" not in self.learning:
            del self.ways["backward filter"]
        if not (request.backward and request.wanted[0]):
            del self.ways["backward data"]
        self.reasons: list[str] = []

    def candidates(self) -> Iterator[Plan]:
        """Yield each plan once."""
        known, seen = self.engine.algorithms, set()
        limit = self.request.limit

        def measured(problem: Problem, way: Way) -> Sequence[Algorithm]:
            return known.measured(problem, way, limit)

        # `measured` runs all algorithms; lazily, so that without tuning nothing is ever run.
        asks: tuple[Ask, ...] = (known.expected, measured)
        for ask in asks:
            for problem in self._orders():
                with self.engine.device.current():
                    plan = self._plan(problem, ask)
                if plan is None:
                    continue
                key = (*plan.passes.items(), plan.bottom_layouts)
                if key not in seen:
                    seen.add(key)
                    yield plan

    def _orders(self) -> Iterator[Problem]:
        """Yield the problem in each number type and order that the request and its shapes allow."""
        images = len(self.request.bottom_shapes[0]) == 4 and len(self.request.params[0][1]) == 4
        if not self.request.math.halves:
            yield self.problem
            if images:
                yield replace(self.problem, order="nhwc")
        elif images:
            math_ = self.request.math
            yield replace(self.problem, order="nhwc", dtype=math_.arrays, math=math_)
        else:
            self.reasons.append(f"in {self.request.math} it takes N C H W alone")

    def _plan(self, problem: Problem, ask: Ask) -> ConvolutionPlan | None:
        """Return a plan; None, with a reason noted, where a pass has no algorithm that may run."""
        plan = self._without_algorithms(problem)
        try:
            for name, way in self.ways.items():
                choice = self._choice(problem, way, ask, plan.rooms_end(name))
                if choice.algorithm is None:
                    self.reasons.append(f"{name}: {choice.why}")
                    return None
                plan.chosen = {**plan.chosen, name: choice.algorithm}
                if choice.why:
                    plan.notes = {**plan.notes, name: f"{choice.algorithm.name}, as {choice.why}"}
            trial = Trial(self.engine, self.op, problem)
            # Algorithms are known to run; whether bias and ReLU do is found out by trying.
            refusal = trial.refusal(self.learning)
            plan.fused = not refusal and trial.fuses(plan.chosen["forward"])
        except (CudnnError, DeviceError) as error:
            refusal = error.found
        if refusal:
            self.reasons.append(refusal)
            return None
        plan.complete()
        return plan

    def _choice(self, problem: Problem, way: Way, ask: Ask, taken: int) -> Choice:
        """Choose the algorithm of one pass; `taken` bytes of the workspace are the plan's own."""
        limit = self.request.limit
        left = None if limit is None else limit - taken
        choice = Choice(None)
        for choice in choose(ask(problem, way), self.request, left):
            if choice.algorithm is None:
                return choice
            made = self.engine.algorithms.settled(problem, way, choice.algorithm)
            if made is not None and (left is None or made.workspace <= left):
                return Choice(made, choice.why)
        return Choice(None, "no algorithm is ready to run")

    def _without_algorithms(self, problem: Problem) -> ConvolutionPlan:
        request = self.request
        (bottom,), (top,) = request.bottom_shapes, request.top_shapes
        halved = problem.dtype != "float32"
        plain = not halved and problem.order == "nchw"

        def lies(shape: Shape) -> Dense | None:
            return None if plain else Dense(shape, problem.dtype, problem.order)

        def wanted(name: str, shape: Shape) -> Dense | None:
            if name == "bias":
                return Dense(shape, problem.dtype, "nchw") if halved else None
            return lies(shape)

        return ConvolutionPlan(
            device=self.engine.device,
            algorithm="",
            op=self.op,
            problem=problem,
            ways=self.ways,
            inside={name: wanted(name, shape) for name, shape in request.params},
            learning=self.learning,
            bottom_layouts=(lies(bottom),),
            top_layouts=(lies(top),),
            params=dict.fromkeys(name for name, _ in request.params),
        )
