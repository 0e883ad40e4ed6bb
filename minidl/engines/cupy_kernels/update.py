"""A solver's step of a whole net on a GPU, and its gradients' norm: see update.cu and norm.cu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays.device import Device
from minidl.engines.cupy_kernels.launch import kernel
from minidl.engines.request import Declined
from minidl.engines.update import Step, Stretch, Update

RULES = ("sgd", "nesterov", "adagrad", "rmsprop", "adadelta", "adam")  # as in update.cu
TOGETHER = 4  # elements that a thread works on; no parameter may start in between
# Partial sums of a norm. A GPU has to have megabytes under way to read at full speed: an H200 takes
# 64 warps on each of 132 multiprocessors, and more sums than this are slow to add up by one.
ROWS = 4096
SHORTEST = 512  # elements of one of them


def updater(
    device: Device, step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch]
) -> Update | Declined:
    """Return an update in one launch, and two more to clip; see `Engine.updater`."""
    if step.rule not in RULES:
        return Declined(f"it has no kernel for {step.rule}")
    if arrays[0].dtype != np.float32 or not arrays[0].size or arrays[0].size % TOGETHER:
        return Declined("its kernels go over float32 arrays of a multiple of four elements")
    move = FlatStep(device, step, arrays, stretches)
    norms: list[GradientNorm] = []  # made if anybody clips

    def run(rate: float, correction: float, scale: float, decay: float, clip: float) -> Any:
        if clip == math.inf:
            return move(rate, scale, decay, correction)
        if not norms:
            norms.append(GradientNorm(device, arrays[1]))
        (norm,) = norms
        norm(clip)
        move(rate, scale, decay, correction, norm.factor_address)
        return norm.result[0]

    return Update(run, clips=True)


class FlatStep:
    """Moves all parameters of a net in one launch.

    step        the rule
    arrays      arenas of weights, gradients and the rule's one or two histories on the device:
                flat, float32, of one length, each parameter in the same place of all; between them
                is 0
    stretches   the parameters in the order in which they lie

    It has to be made, and called, with the device current; a call only launches.
    """

    def __init__(
        self, device: Device, step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch]
    ) -> None:
        starts, size = [stretch.start for stretch in stretches], arrays[0].size
        assert {array.size for array in arrays} == {size} and size % TOGETHER == 0, size
        assert starts and starts[0] == 0 and starts == sorted(starts), starts
        assert all(start % TOGETHER == 0 for start in starts), starts
        factors = [(stretch.lr_mult, stretch.decay_mult) for stretch in stretches]
        self._starts = device.xp.asarray(np.array(starts, np.int64))
        self._multipliers = device.xp.asarray(np.array(factors, np.float32))
        self._arrays = arrays  # have to live as long as this
        tables = [device.address(array) for array in (*arrays, self._starts, self._multipliers)]
        if len(arrays) == 3:
            tables.insert(3, 0)
        keep = step.rms_decay if step.rule == "rmsprop" else step.momentum
        numbers = keep, 1 - keep, step.momentum2, 1 - step.momentum2, step.delta
        self._given: dict[str, Any] = dict(rate=0.0, correction=1.0, scale=1.0, decay=0.0)
        self._step = kernel(device, "update", "update", RULE=step.rule.upper()).bind(
            size // TOGETHER,
            *tables,
            len(starts),
            *self._given.values(),
            int(step.l1),
            int(step.decoupled),
            *map(float, numbers),
            0,
        )

    def __call__(
        self,
        rate: float,
        scale: float = 1.0,
        decay: float = 0.0,
        correction: float = 1.0,
        factor_address: int = 0,
    ) -> None:
        """Make one step; gradients stay as they were.

        scale            factor on the gradient, before weight decay
        correction       of the rate, but for a decay that is decoupled
        factor_address   of one more float32 factor on the gradient, on the device
        """
        given = dict(
            rate=float(rate),
            correction=float(correction),
            scale=float(scale),
            decay=float(decay),
            factor=factor_address,
        )
        changed = {name: value for name, value in given.items() if value != self._given.get(name)}
        if changed:  # usually the rate alone, or nothing
            self._step.change(**changed)
            self._given = given
        self._step()


class GradientNorm:
    """The L2 norm of an arena, and the factor that clips it, without a look from the host.

    result           two float32 numbers on the device: the norm, the factor
    factor_address   where the factor is
    """

    def __init__(self, device: Device, g: Any) -> None:
        self.result = device.zeros((2,), np.float32)
        self.factor_address = device.address(self.result) + self.result.itemsize
        rows = min(ROWS, max(1, g.size // SHORTEST))
        length = math.ceil(g.size / rows)
        rows = max(1, math.ceil(g.size / max(1, length)))
        self._arena, self._partial = g, device.zeros((rows,), np.float32)
        partial = device.address(self._partial)
        squares = kernel(device, "norm", "sum_of_squares")
        self._squares = squares.bind(rows, device.address(g), partial, g.size, length)
        total = kernel(device, "norm", "norm_and_factor")
        self._total = total.bind(1, partial, device.address(self.result), rows, math.inf)
        self._limit = math.inf

    def __call__(self, limit: float = math.inf) -> None:
        """Launch both sums; the factor is 1 unless the norm is above `limit`."""
        if limit != self._limit:
            self._total.change(limit=float(limit))
            self._limit = limit
        self._squares()
        self._total()
