"""Floors: the time of a layer if its arithmetic, or its memory traffic, ran at full speed.

Both speeds are measured, not looked up: the best that matrix products reach here, in the run's
arithmetic, and what a copy of arrays of about the layer's size reaches.
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minidl import ops
from minidl.engines import select, tuning
from minidl.engines.plan import Run
from minidl.engines.request import UNDECIDED, Request
from minidl.engines.select import Policy
from minidl.net.report import nbytes, param_bytes
from minidl.net.schedule import Schedule
from minidl.solver import workers

PRODUCT = 1536  # rows and columns of the matrices whose product is timed
SIZES = tuple(2**i for i in range(14, 28, 2))  # bytes of the arrays that are copied


class Work(NamedTuple):
    """The least that one pass of one layer has to do.

    flop    multiplications and additions
    bytes   of the arrays to be read and of those to be written, each once
    """

    flop: float
    bytes: int


@dataclass(frozen=True)
class Speeds:
    """The speeds that this machine reached in this run.

    product   flop a second in products of matrices
    copies    bytes a second, read and written, by size of the arrays that were copied
    """

    product: float
    copies: dict[int, float]

    def copy(self, size: int) -> float:
        """Return the speed for `size` bytes in all; caches make that of small arrays higher."""
        nearest = min(self.copies, key=lambda known: abs(math.log(max(size, 1) / (2 * known))))
        return self.copies[nearest]

    def floor(self, work: Work) -> float:
        """Return the seconds that the work takes at least."""
        return max(work.flop / self.product, work.bytes / self.copy(work.bytes))

    def bound(self, work: Work) -> str:
        """Return what sets that floor: "arithmetic" or "bandwidth"."""
        moving = work.bytes / self.copy(work.bytes)
        return "arithmetic" if work.flop / self.product >= moving else "bandwidth"


# ------------------------------------------------------------------ work


def works(schedule: Schedule, i: int) -> tuple[Work, Work]:
    """Return the work of layer i's forward and of its backward; none for layers that make data."""
    step, place = schedule.steps[i], schedule.walk.places[i]
    if step.idle or not step.node.bottoms:
        return Work(0, 0), Work(0, 0)
    node = schedule.walk.nodes[i]
    flop = 2.0 * node.multiply_adds
    params = {p.owner: p for p in node.params}
    weights = sum(param_bytes(schedule, p) for p in params.values())

    def size(numbers: Iterable[int | None]) -> int:
        return sum(nbytes(schedule, schedule.walk.arrays[n]) for n in numbers if n is not None)

    forward = Work(flop, weights + size(place.bottom_arrays) + size(place.top_arrays))
    if step.fused or _is_view(schedule, place.bottom_arrays, place.top_arrays):
        forward = Work(0, 0)
    gradients = place.bottom_diff_arrays, place.top_diff_arrays
    if not node.needs_backward or _is_view(schedule, *gradients):
        return forward, Work(0, 0)
    moved = sum(map(size, gradients))
    for what, arrays in (("bottom", place.bottom_arrays), ("top", place.top_arrays)):
        moved += size(arrays) if node.rereads(what) else 0
    learning = [p for p in params.values() if p.owner in schedule.learning]
    moved += sum(param_bytes(schedule, p) for p in learning)
    if any(node.wanted):
        moved += weights
    return forward, Work(flop * (bool(learning) + any(node.wanted)), moved)


def _is_view(schedule: Schedule, bottoms: Sequence[int | None], tops: Sequence[int]) -> bool:
    """Tell whether the top is the bottom in another shape, so that nothing moves."""
    if len(bottoms) != 1 or len(tops) != 1 or bottoms[0] is None:
        return False
    walk, bottom, top = schedule.walk, bottoms[0], tops[0]
    other_shape = walk.arrays[top].shape != walk.arrays[bottom].shape
    return other_shape and walk.base(top) == walk.base(bottom)


# ------------------------------------------------------------------ speeds


class Meter(abc.ABC):
    """Measures what a device can do, and keeps the best: other programs only make it slower.

    sizes    bytes of the arrays whose copies are timed
    speeds   the best so far
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        self.speeds = Speeds(0.0, dict.fromkeys(sizes, 0.0))

    def measure(self) -> None:
        """Look again, and keep what is faster."""
        for flop, seconds in self.products():
            self.saw(flop / seconds)
        for size, known in self.speeds.copies.items():
            self.speeds.copies[size] = max(2 * size / self.copy(size), known)

    def saw(self, product: float) -> None:
        """Note flop/s that something else reached which is as good as a product of matrices."""
        self.speeds = Speeds(max(product, self.speeds.product), self.speeds.copies)

    @abc.abstractmethod
    def products(self) -> Iterator[tuple[float, float]]:
        """Time products of matrices: their flop, and the seconds they took."""

    @abc.abstractmethod
    def copy(self, size: int) -> float:
        """Return the seconds that a copy of `size` bytes takes."""


class HostMeter(Meter):
    """The meter of the CPU. Each `measure` takes about a third of a second.

    policy   of the net that is timed: its engine multiplies, as NumPy does, on as many threads
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__(SIZES)
        self._threads = policy.threads
        a, b, c = (np.ones((PRODUCT, PRODUCT), np.float32) for _ in range(3))
        numpys = functools.partial(np.matmul, a, b, out=c)
        self._products: list[Run] = [numpys, *_engine_products(policy)]

    def products(self) -> Iterator[tuple[float, float]]:
        for run in self._products:
            yield 2.0 * PRODUCT**3, tuning.seconds(run, enough=0.05)

    def copy(self, size: int) -> float:
        return tuning.seconds(_copy(size, self._threads))


def _engine_products(policy: Policy) -> list[Run]:
    """Return the products of this policy's engine in its arithmetic: one, or none."""
    square = PRODUCT, PRODUCT
    request = Request(
        bottom_shapes=(square,),
        top_shapes=(square,),
        params=(("weight", square),),
        homes=(UNDECIDED,),
        bottom_layouts=(None,),
        wanted=(False,),
        math=policy.math,
        threads=policy.threads,
    )
    op = ops.Gemm(PRODUCT, bias=False)
    choice = select.choose(select.engines(policy), op, request, policy)
    if choice.plan is None or choice.engine is None:
        return []
    return [tuning.bound(choice.engine, choice.plan, request)]


def _copy(size: int, threads: int) -> Run:
    """Return a copy of `size` bytes, of which each thread does a part."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    threads = max(1, min(threads, size >> 20))  # below that, waking another costs more than it does
    cuts = [size * i // threads for i in range(threads + 1)]

    def share(i: int) -> None:
        part = slice(cuts[i], cuts[i + 1])
        np.copyto(target[part], source[part])

    return lambda: workers.share(share, threads)
