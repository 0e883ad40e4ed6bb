"""Losses on their way from a GPU to the log: read when one is shown, not when it is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.device import Device

ROOM = 4096  # losses that may lie unread; then the device is waited for once


class Iteration(NamedTuple):
    """Its number, and which passes of the net it consists of."""

    number: int
    passes: range


See = Callable[[Iteration, float], None]


class PendingLosses:
    """The losses of iterations that nobody has looked at yet.

    `add` takes an iteration's losses, one for each of its passes, where they lie on the device.
    `read` brings all of them to the host at once, and gives each iteration's mean to `see`.
    """

    def __init__(self, device: Device, dtype: Any) -> None:
        self._device = device
        self._room = device.zeros((ROOM,), dtype)
        self._iterations: list[Iteration] = []
        self._used = 0

    def begin(self, iteration: Iteration, see: See) -> None:
        """The losses of its passes will follow."""
        count = len(iteration.passes)
        if self._used and self._used + count > len(self._room):
            self.read(see)
        if count > len(self._room):
            self._room = self._device.zeros((count,), self._room.dtype)
        self._iterations.append(iteration)

    def add(self, loss: Any) -> None:
        """One more loss, an array () of the device."""
        with self._device.current():
            self._room[self._used : self._used + 1] = loss
        self._used += 1

    def read(self, see: See) -> None:
        """Give all that lie here to `see`, in order; then nothing lies here."""
        if not self._used:
            return
        values = self._device.to_host(self._room)[: self._used].astype(np.float64)
        iterations, self._iterations, self._used = self._iterations, [], 0
        start = 0
        for iteration in iterations:
            end = start + len(iteration.passes)
            see(iteration, float(values[start:end].mean()))
            start = end
