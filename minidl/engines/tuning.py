"""The fastest of several plans, found by running each of them.

Forward and backward count together, on memory of the plan's own. So does what it takes to convert
the bottoms from the layouts in which they arrive, and their gradients back.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from minidl import ops
from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import Layout, Memory, Shape, place
from minidl.engines import times
from minidl.engines.engine import Engine
from minidl.engines.math import FLOAT32, Math
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import UNDECIDED, Declined, Request

# "heuristic": the first candidate is taken, nothing is run. "measure": all are run when a net is
# set up. "cached": the same, and the times are kept in a file for the next net.
WAYS = ("heuristic", "measure", "cached")
REPEATS = 3  # runs of a plan; more of quick ones, until they have taken ENOUGH seconds,
ENOUGH = 2e-3
LONG = 0.2  # seconds, after which no more runs are made
HOPELESS = 1.5  # times the best so far: after one run as slow as that, a candidate is given up


class Best(NamedTuple):
    """The fastest plan; `figures` compares it with the others."""

    plan: Plan
    figures: str = ""


def fastest(
    engine: Engine, op: Any, request: Request, candidates: Sequence[Plan], way: str
) -> Best:
    """Return the candidate that takes the least time; `way` is "measure" or "cached".

    Times of all candidates are kept, not the winner's name, so that they hold for a policy that
    allows only some of them.
    """
    if len(candidates) == 1:
        return Best(candidates[0])
    named: dict[str, Plan] = {}
    for plan in candidates:
        named.setdefault(describe(plan), plan)
    table = times.table(times.file() if way == "cached" else None)
    key = problem(engine, op, request)
    known = table.get(key)
    new = not named.keys() <= known.keys()
    if new:
        known = measure(engine, request, named)
        table.add(key, known)
    order = sorted(named, key=known.__getitem__)
    figures = f"{known[order[0]]:.3g} ms {'measured' if new else 'as measured before'}"
    if len(order) > 1:
        figures += f", the next of {len(order)} {known[order[1]]:.3g} ms ({order[1]})"
    return Best(named[order[0]], figures)


def problem(engine: Engine, op: Any, request: Request) -> str:
    """Return all that a time depends on besides the candidate."""
    about = engine.name, engine.version, engine.isa
    request = replace(request, counter=0, key=(0, 0))  # change from run to run, and no time does
    return f"{' '.join(about)}, {request.threads} threads: {op} {request}"


def describe(plan: Plan) -> str:
    """Name a candidate among those for one problem: implementations and layouts."""
    passes = dict.fromkeys(plan.passes.values())
    names = [plan.algorithm, *(name for name in passes if name not in plan.algorithm)]
    sides = [
        " ".join(str(each or "plain") for each in side)
        for side in (plan.bottom_layouts, plan.top_layouts)
    ]
    homes = [f"{name} {layout or 'plain'}" for name, layout in plan.params.items()]
    return ", ".join([" ".join(names), " to ".join(dict.fromkeys(sides)), *homes])


# ------------------------------------------------------------------ is another arithmetic worth it


@functools.cache
def gain(engine: Engine, arithmetic: Math, threads: int) -> float:
    """Measure how many times as fast as in float32 this machine convolves, forward and backward.

    The processors that have bfloat16 differ: with AMX tiles about 4 times as fast, with vector
    instructions alone some are faster than in float32 and some take twice as long.
    """
    op = ops.Conv(64, kernel=(3, 3), pad=(1, 1))
    times = []
    for math_ in (FLOAT32, arithmetic):
        request = Request(
            bottom_shapes=((4, 64, 28, 28),),
            top_shapes=((4, 64, 28, 28),),
            params=(("weight", (64, 64, 3, 3)), ("bias", (64,))),
            homes=(UNDECIDED, UNDECIDED),
            bottom_layouts=(None,),
            training=True,
            backward=True,
            wanted=(True,),
            learning=("weight", "bias"),
            math=math_,
            threads=threads,
        )
        candidates = engine.plans(op, request)
        if isinstance(candidates, Declined):
            return 0.0
        times.append(seconds(bound(engine, next(iter(candidates)), request)))
    return times[0] / times[1]


# ------------------------------------------------------------------ running


def measure(engine: Engine, request: Request, candidates: Mapping[str, Plan]) -> dict[str, float]:
    """Return the milliseconds of each candidate, by name."""
    found: dict[str, float] = {}
    for name, plan in candidates.items():
        limit = HOPELESS * min(found.values(), default=math.inf)
        found[name] = 1e3 * seconds(bound(engine, plan, request), limit / 1e3)
    return found


def seconds(run: Run, limit: float = math.inf, enough: float = ENOUGH) -> float:
    """Return the shortest of a few runs that together take at least `enough` seconds.

    After one that took longer than `limit` no more are made. The first does not count, because
    caches are cold and threads asleep, unless it took twice as long as that.
    """
    best = _timed(run)
    if best > 2 * limit:
        return best
    best, count, total = math.inf, 0, 0.0
    while not count or total < enough or (count < REPEATS and total < LONG):
        took = _timed(run)
        best, count, total = min(best, took), count + 1, total + took
        if best > limit:
            break
    return best


def _timed(run: Run) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def bound(engine: Engine, plan: Plan, request: Request) -> Run:
    """Bind forward, backward if asked for, and the conversions around them, as one call."""
    device = engine.device
    memory = scratch(plan, request, device)
    forward, backward = plan.bind(memory)
    arrivals = _elsewhere(request, plan.bottom_layouts, memory.bottom_memory)
    returns = _elsewhere(request, plan.bottom_layouts, memory.bottom_diff_memory)
    # A plan that wants another layout than the neighbours have pays for the conversion.
    runs = [engine.converter(outside, inside) for outside, inside in arrivals]
    runs.append(forward)
    if backward is not None:
        runs += [functools.partial(_forget_gradients, memory), backward]
        runs += [engine.converter(inside, outside) for outside, inside in returns]

    def run(keep: Any = (memory, arrivals, returns)) -> None:  # plans know addresses only
        with device.current():
            for each in runs:
                each()
        device.synchronize()

    return run


def _elsewhere(
    request: Request, layouts: Sequence[Layout | None], memories: Sequence[Memory | None]
) -> list[tuple[Memory, Memory]]:
    """Pair memory as the neighbour has it with the plan's, for each bottom where they differ."""
    return [
        (filled(memory.shape, arrives, memory.device), memory)
        for arrives, layout, memory in zip(request.bottom_layouts, layouts, memories, strict=False)
        if memory is not None and arrives != layout
    ]


def _forget_gradients(memory: Bindings) -> None:
    for param in memory.params.values():
        param.gradient.fresh = True


# ------------------------------------------------------------------ memory


def scratch(plan: Plan, request: Request, device: Device) -> Bindings:
    """Allocate memory for a plan, filled with random numbers."""

    def each(shapes: Sequence[Shape], layouts: Sequence[Layout | None]) -> tuple[Memory, ...]:
        return tuple(filled(*one, device) for one in zip(shapes, layouts, strict=True))

    bottom = each(request.bottom_shapes, plan.bottom_layouts)
    top = each(request.top_shapes, plan.top_layouts)
    bottom_diff: tuple[Memory | None, ...] = ()
    top_diff: tuple[Memory, ...] = ()
    if request.backward:
        top_diff = each(request.top_shapes, plan.top_layouts)
        bottom_diff = tuple(
            filled(shape, layout, device) if want else None
            for shape, layout, want in zip(
                request.bottom_shapes, plan.bottom_layouts, request.wanted, strict=True
            )
        )
    # Share memory as the net would.
    if request.in_place:
        top = (bottom[0], *top[1:])
        if request.backward and request.wanted[0]:
            bottom_diff = (top_diff[0], *bottom_diff[1:])
    params = {name: _param(name, shape, plan, request, device) for name, shape in request.params}
    rooms = _bytes(plan.saved, device), _bytes(plan.workspace, device)
    return Bindings(bottom, top, bottom_diff, top_diff, params, *rooms)


def _param(name: str, shape: Shape, plan: Plan, request: Request, device: Device) -> Param:
    param = Param(name, shape, device, np.float32)
    param.wanted = name in request.learning
    param.values.write(_random(shape))
    param.arrange(plan.params[name])
    return param


def filled(shape: Shape, layout: Layout | None, device: Device) -> Memory:
    """Allocate memory filled with random numbers."""
    memory = place(shape, layout, np.float32, device)
    memory.assign(_random(shape))
    return memory


def _random(shape: Shape) -> np.ndarray:
    return np.resize(normal(), shape)


@functools.cache
def normal() -> np.ndarray:
    """Return normal numbers to be repeated: drawing each would take longer than the plans."""
    return np.random.default_rng(0).standard_normal(65537, np.float32)


def _bytes(size: int, device: Device) -> Memory | None:
    return Memory((size,), None, device.bytes_(size), device) if size else None
