"""The SGD step of a whole net on a GPU, and its gradients' norm: see update.cu and norm.cu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.device import Device
from minidl.engines.cupy_kernels.launch import kernel

TOGETHER = 4  # elements that a thread works on; no parameter may start in between
# Partial sums of a norm. A GPU has to have megabytes under way to read at full speed: an H200 takes
# 64 warps on each of 132 multiprocessors, and more sums than this are slow to add up by one.
ROWS = 4096
SHORTEST = 512  # elements of one of them


class Segment(NamedTuple):
    """A parameter in an arena: its first element, and its factors on rate and decay."""

    start: int
    lr_mult: float
    decay_mult: float


class FlatSGD:
    """Moves all parameters of a net in one launch.

    w, g, h    arenas of weights, gradients and histories on the device: flat, float32, of one
               length, each parameter in the same place of all three; what lies between them is 0
    segments   the parameters in the order in which they lie

    It has to be made, and called, with the device current; a call only launches.
    """

    def __init__(self, device: Device, w: Any, g: Any, h: Any, segments: Sequence[Segment]) -> None:
        starts = [segment.start for segment in segments]
        assert w.size == g.size == h.size and w.size % TOGETHER == 0, (w.size, g.size, h.size)
        assert starts and starts[0] == 0 and starts == sorted(starts), starts
        assert all(start % TOGETHER == 0 for start in starts), starts
        xp = device.xp
        factors = [(segment.lr_mult, segment.decay_mult) for segment in segments]
        self._starts = xp.asarray(np.array(starts, np.int64))
        self._multipliers = xp.asarray(np.array(factors, np.float32))
        self._arenas = w, g, h  # have to live as long as this
        tables = map(device.address, (w, g, h, self._starts, self._multipliers))
        self._given: dict[str, Any] = dict(
            rate=0.0, scale=1.0, momentum=0.0, decay=0.0, l1=0, factor=0
        )
        self._step = kernel(device, "update", "sgd").bind(
            w.size // TOGETHER, *tables, len(starts), *self._given.values()
        )

    def __call__(
        self,
        rate: float,
        scale: float = 1.0,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        l1: bool = False,
        factor_address: int = 0,
    ) -> None:
        """One step; gradients are left as they were.

        scale            factor on the gradient, before weight decay
        l1               decay by the sign of the weights, not by the weights
        factor_address   of one more float32 factor on the gradient, on the device
        """
        given = dict(
            rate=float(rate),
            scale=float(scale),
            momentum=float(momentum),
            decay=float(weight_decay),
            l1=int(l1),
            factor=factor_address,
        )
        changed = {name: value for name, value in given.items() if value != self._given[name]}
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
