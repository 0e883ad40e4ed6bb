"""The losses of a run; those of a GPU are read when one is shown, not when it is computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.device import Device
from minidl.net import Net, diagnosis
from minidl.solver.run import Run
from minidl.solver.smoothing import SmoothedLoss

ROOM = 4096  # losses that may stay unread; when it is full the host waits for the device


def forward(run: Run) -> float:
    """Do a forward pass of the training net; refuse a loss that is not finite."""
    loss = run.net.forward_pass()
    if not math.isfinite(loss):
        raise run.diverged(f"the loss is {loss}")
    return loss


class Losses:
    """Does the passes of an iteration and keeps their losses.

    smoothed    the loss that is shown, of the iterations that were read
    """

    def __init__(self, net: Net) -> None:
        self.smoothed = SmoothedLoss()
        self._pending = PendingLosses(net.device, net.dtype) if net.device.kind != "cpu" else None

    def forward_backward(self, run: Run) -> None:
        """Do the `iter_size` passes of an iteration: gradients add up, the mean loss counts."""
        net, size = run.net, run.param.iter_size
        if self._pending is None:
            total = 0.0
            for _ in range(size):
                total += forward(run)
                net.backward_pass()
            self.smoothed.add(total / size, run.param.average_loss)
            return
        done = net.streams.passes
        iteration = Iteration(run.iter, range(done + 1, done + 1 + size))
        self._pending.begin(iteration, partial(self._see, run))
        for _ in range(size):
            self._pending.add(net.training_pass())

    def read(self, run: Run) -> None:
        """Look at the losses that a GPU has computed by now; wait for it."""
        if self._pending is not None:
            self._pending.read(partial(self._see, run))

    def _see(self, run: Run, iteration: Iteration, loss: float) -> None:
        if not math.isfinite(loss):
            diagnosis.refuse_bad_label(run.net.state, iteration.passes)
            since = "" if iteration.number == run.iter else f" since iteration {iteration.number}"
            raise run.diverged(f"the loss is {loss}{since}", since=iteration.number)
        self.smoothed.add(loss, run.param.average_loss)


class Iteration(NamedTuple):
    """Its number, and which passes of the net it consists of."""

    number: int
    passes: range


See = Callable[[Iteration, float], None]


class PendingLosses:
    """The losses of iterations that were not read yet.

    `add` takes an iteration's losses, one for each of its passes, as arrays on the device.
    `read` brings all of them to the host at once, and gives each iteration's mean to `see`.
    """

    def __init__(self, device: Device, dtype: Any) -> None:
        self._device = device
        self._room = device.zeros((ROOM,), dtype)
        self._iterations: list[Iteration] = []
        self._used = 0

    def begin(self, iteration: Iteration, see: See) -> None:
        """Announce an iteration; the losses of its passes follow."""
        count = len(iteration.passes)
        if self._used and self._used + count > len(self._room):
            self.read(see)
        if count > len(self._room):
            self._room = self._device.zeros((count,), self._room.dtype)
        self._iterations.append(iteration)

    def add(self, loss: Any) -> None:
        """Keep one more loss, an array of shape () on the device."""
        with self._device.current():
            self._room[self._used : self._used + 1] = loss
        self._used += 1

    def read(self, see: See) -> None:
        """Pass all losses to `see`, in order, and forget them."""
        if not self._used:
            return
        values = self._device.to_host(self._room)[: self._used].astype(np.float64)
        iterations, self._iterations, self._used = self._iterations, [], 0
        start = 0
        for iteration in iterations:
            end = start + len(iteration.passes)
            see(iteration, float(values[start:end].mean()))
            start = end
