"""The solver's SGD update of one parameter: two operations over one piece after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.arrays.memory import zeros
from minidl.engines.onednn import api, library
from minidl.engines.onednn.layout import plain
from minidl.engines.onednn.library import dnnl
from minidl.engines.onednn.primitive import Description, attributes, favourite, sequence
from minidl.engines.request import Declined
from minidl.engines.update import Step, Stretch, Update

# Elements of a piece for each thread. The weights and the history that the first operation leaves
# in a core's second-level cache, 1 MiB of 2 here, are still there for the second one: both divide
# a piece over the threads in the same way. 61 million weights took two threads 44, 41, 46 and 51 ms
# with 2**16 to 2**19. Each element moves 20 bytes to and from memory; without pieces it is 28.
PIECE = 1 << 17


# Elements from which on it is worth while. The array code took 0.05 ms for as many and this 0.02;
# for 61 million 80 ms and 41.
LARGE = 1 << 16


def updater(step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch]) -> Update | Declined:
    """What does an SGD step with L2 decay of one large stretch; see `Engine.updater`."""
    if step.rule != "sgd" or step.l1:
        return Declined("it does SGD with L2 decay only")
    if len(stretches) != 1:
        return Declined("it has one factor on all rates: one stretch after the other")
    if arrays[0].dtype != np.float32 or arrays[0].size < LARGE:
        return Declined(f"it does float32 arrays of {LARGE} elements or more")
    move, (stretch,) = mover(step.momentum, *arrays), stretches
    if isinstance(move, Declined):
        return move

    def run(rate: float, correction: float, scale: float, decay: float, clip: float) -> None:
        own_rate = rate * stretch.lr_mult
        move(own_rate * scale, own_rate * (decay * stretch.decay_mult))

    return Update(run)


def mover(
    momentum: float, w: np.ndarray, g: np.ndarray, h: np.ndarray
) -> Callable[[float, float], None] | Declined:
    """What does h = momentum * h + on_g * g + on_w * w, then w = w - h, called with both factors.

    The first is one operation, which reads both factors when it runs, so that a new learning rate
    makes nothing anew. It multiplies them in one by one and may fuse a product with a sum, so it
    is off by at most 4 roundings of each term. A factor of 0 makes NaN of what is not finite.
    """
    factors = zeros((2,), np.float32)
    scales = {
        api.SCALES + api.SRC: factors.ctypes.data,
        api.SCALES + api.SRC_1: factors[1:].ctypes.data,
    }
    steps, threads = [], dnnl().threads()
    piece = PIECE * threads
    for start in range(0, w.size, piece):
        count = min(piece, w.size - start)
        found = _operations(count, momentum, threads, library.generation)
        if isinstance(found, Declined):
            return found
        add, subtract = found
        at_w, at_g, at_h = (array[start:].ctypes.data for array in (w, g, h))
        first = {api.SRC: at_g, api.SRC_1: at_w, api.DST: at_h, **scales}
        steps.append(add.step(first, keep=(w, g, h, factors)))
        steps.append(subtract.step({api.SRC: at_w, api.SRC_1: at_h, api.DST: at_w}))
    run = sequence(steps)

    def update(on_g: float, on_w: float) -> None:
        factors[:] = on_g, on_w
        run()

    return update


@functools.lru_cache(64)
def _operations(
    count: int, momentum: float, threads: int, child: int
) -> tuple[Description, Description] | Declined:
    """The two for so many elements, made for so many threads in the child-th forked process."""
    row = plain((count,))
    attr = attributes(scaled=(api.SRC, api.SRC_1), onto=momentum)
    add = favourite("binary", api.BINARY_ADD, row, row, row, attr=attr)
    subtract = favourite("binary", api.BINARY_SUB, row, row, row)
    if add is None or subtract is None or add.reference or subtract.reference:
        return Declined("it has only reference code for an update")
    return add, subtract
