"""A solver's step of one stretch of parameters: a few operations over one piece after the other."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.arrays.memory import CPU
from minidl.engines.onednn import api, library
from minidl.engines.onednn.layout import plain
from minidl.engines.onednn.library import dnnl
from minidl.engines.onednn.primitive import Description, attributes, favourite, sequence
from minidl.engines.onednn.primitive import Step as Call
from minidl.engines.request import Declined
from minidl.engines.update import Step, Stretch, Update

Move = Callable[..., None]

# Elements of a piece for each thread. What the first operation leaves in a core's second-level
# cache, 1 MiB of 2 here, is still there for the next ones: all divide a piece over the threads in
# the same way. SGD's 61 million weights took two threads 44, 41, 46 and 51 ms with 2**16 to 2**19.
# Each element moves 20 bytes to and from memory; without pieces it is 28.
PIECE = 1 << 17

# Elements from which on it is worth while. SGD's array code took 0.05 ms for as many and this 0.02,
# for 61 million 80 ms and 41; Adam's took one thread 5.9 ms for two million, and this 2.7.
LARGE = 1 << 16


def updater(step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch]) -> Update | Declined:
    """Return an update that steps by SGD or Adam with L2 decay; see `Engine.updater`."""
    if step.rule not in ("sgd", "adam") or step.l1 or step.decoupled:
        return Declined("it does SGD and Adam with L2 decay only")
    if len(stretches) != 1:
        return Declined("it has one factor on all rates: one stretch after the other")
    if arrays[0].dtype != np.float32 or arrays[0].size < LARGE:
        return Declined(f"it does float32 arrays of {LARGE} elements or more")
    (stretch,) = stretches
    if step.rule == "sgd":
        move = sgd(step.momentum, *arrays)
    else:
        move = adam(step.momentum, step.momentum2, step.delta, *arrays)
    if isinstance(move, Declined):
        return move

    def run(rate: float, correction: float, scale: float, decay: float, clip: float) -> None:
        own_rate, own_decay = rate * stretch.lr_mult, decay * stretch.decay_mult
        if step.rule == "sgd":
            move(own_rate * scale, own_rate * own_decay)
        else:
            move(scale, own_decay, own_rate * correction)

    return Update(run)


def sgd(momentum: float, w: np.ndarray, g: np.ndarray, h: np.ndarray) -> Move | Declined:
    """Return a call with both factors: h = momentum * h + on_g * g + on_w * w, then w = w - h.

    The first is one operation, which reads both factors when it runs, so that a new learning rate
    makes nothing new. It multiplies them in one by one and may fuse a product with a sum, so it
    is off by at most 4 roundings of each term. A factor of 0 makes NaN of what is not finite.
    """
    factors = CPU.zeros((2,), np.float32)

    def calls(count: int, start: int) -> Iterator[Call]:
        add = _operation(count, api.BINARY_ADD, 2, onto=momentum)
        subtract = _operation(count, api.BINARY_SUB)
        at_w, at_g, at_h = (array[start:].ctypes.data for array in (w, g, h))
        yield add.step(_scaled(at_g, at_w, at_h, factors), keep=(w, g, h, factors))
        yield subtract.step({api.SRC: at_w, api.SRC_1: at_h, api.DST: at_w})

    run = _in_pieces(w.size, calls)
    if isinstance(run, Declined):
        return run

    def move(on_g: float, on_w: float) -> None:
        factors[:] = on_g, on_w
        run()

    return move


def adam(
    keep: float, keep2: float, delta: float, w: np.ndarray, g: np.ndarray, m: np.ndarray, v: Any
) -> Move | Declined:
    """Return a call that, given on_g, on_w and the rate, does

        f = on_g * g + on_w * w
        m = keep * m + (1 - keep) * f;  v = keep2 * v + (1 - keep2) * f**2
        w = w - rate * m / (sqrt(v) + delta)

    in four operations, of which the first two make f of both each for itself, with the roots of
    their factors where it is squared. What divides goes into room that stays in the cache.
    """
    first, second, halves, step = (CPU.zeros((2,), np.float32) for _ in range(4))
    halves[:] = 0.5
    room = CPU.zeros((min(PIECE * dnnl().threads(), w.size),), np.float32)

    def calls(count: int, start: int) -> Iterator[Call]:
        mean = _operation(count, api.BINARY_ADD, 2, onto=keep)
        square = _operation(count, api.BINARY_ADD, 2, ((api.ELTWISE_SQUARE, 0.0, 0.0),), keep2)
        root = (api.ELTWISE_SQRT, 0.0, 0.0), (api.ELTWISE_LINEAR, 1.0, delta)
        divisor = _operation(count, api.BINARY_ADD, 2, root)
        divide = _operation(count, api.BINARY_DIV, 1, onto=1.0)
        at_w, at_g, at_m, at_v = (array[start:].ctypes.data for array in (w, g, m, v))
        at_room = room.ctypes.data
        kept = w, g, m, v, room, first, second, halves, step
        yield mean.step(_scaled(at_g, at_w, at_m, first), keep=kept)
        yield square.step(_scaled(at_g, at_w, at_v, second))
        yield divisor.step(_scaled(at_v, at_v, at_room, halves))  # the sum of two halves of v
        yield divide.step(_scaled(at_m, at_room, at_w, step[:1]))

    run = _in_pieces(w.size, calls)
    if isinstance(run, Declined):
        return run

    def move(on_g: float, on_w: float, rate: float) -> None:
        for factors, part in ((first, 1 - keep), (second, math.sqrt(1 - keep2))):
            factors[:] = part * on_g, part * on_w
        step[:] = -rate
        run()

    return move


def _scaled(left: int, right: int, result: int, factors: np.ndarray) -> dict[int, int]:
    """Return the arguments of an operation on these addresses, with as many factors on them."""
    at = [factors[i:].ctypes.data for i in range(len(factors))]
    scales = dict(zip((api.SCALES + api.SRC, api.SCALES + api.SRC_1), at, strict=False))
    return {api.SRC: left, api.SRC_1: right, api.DST: result, **scales}


def _in_pieces(
    size: int, calls: Callable[[int, int], Iterator[Call]]
) -> Callable[[], None] | Declined:
    """Return a run over this many elements; `calls` makes the calls for a piece from its length
    and start; declined if the library has only reference code for one of them."""
    piece = PIECE * dnnl().threads()
    made: list[Call] = []
    try:
        for start in range(0, size, piece):
            made += calls(min(piece, size - start), start)
    except _OnlyReference:
        return Declined("it has only reference code for an update")
    return sequence(made)


class _OnlyReference(Exception):
    """Raised where the library has no fast code for an operation."""


def _operation(
    count: int,
    kind: int,
    factors: int = 0,
    then: tuple[tuple[int, float, float], ...] = (),
    onto: float | None = None,
) -> Description:
    """Return an operation on two rows of this many elements, the first `factors` of them scaled."""
    found = _made(count, kind, factors, then, onto, dnnl().threads(), library.generation)
    if found is None or found.reference:
        raise _OnlyReference
    return found


@functools.lru_cache(64)
def _made(
    count: int,
    kind: int,
    factors: int,
    then: tuple[tuple[int, float, float], ...],
    onto: float | None,
    threads: int,
    child: int,
) -> Description | None:
    """Return the operation, made for this many threads in the child-th forked process."""
    row = plain((count,))
    attr = attributes(scaled=(api.SRC, api.SRC_1)[:factors], steps=then, onto=onto)
    return favourite("binary", kind, row, row, row, attr=attr)
