"""Losses that a GPU has computed: read when one is shown, not when it is computed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.device import Device

ROOM = 4096  # losses that may stay unread; when it is full the host waits for the device


class Iteration(NamedTuple):
    """Its number, and which passes of the net it consists of."""

    number: int
    passes: range


class PendingLosses:
    """The losses of iterations that were not read yet, one for each pass, on the device."""

    def __init__(self, device: Device, dtype: Any) -> None:
        self._device = device
        self._room = device.zeros((ROOM,), dtype)
        self._iterations: list[Iteration] = []
        self._used = 0

    def has_room(self, passes: int) -> bool:
        """Tell whether an iteration of this many passes may follow before the others are read."""
        return not self._used or self._used + passes <= len(self._room)

    def begin(self, iteration: Iteration) -> None:
        """Announce an iteration; the losses of its passes follow."""
        if len(iteration.passes) > len(self._room):
            self._room = self._device.zeros((len(iteration.passes),), self._room.dtype)
        self._iterations.append(iteration)

    def add(self, loss: Any) -> None:
        """Keep one more loss, an array of shape () on the device."""
        with self._device.current():
            self._room[self._used : self._used + 1] = loss
        self._used += 1

    def take(self) -> list[tuple[Iteration, float]]:
        """Wait for the device; return each iteration with its mean loss, and forget them."""
        if not self._used:
            return []
        values = self._device.to_host(self._room)[: self._used].astype(np.float64)
        ends = np.cumsum([len(iteration.passes) for iteration in self._iterations])
        means = [float(part.mean()) for part in np.split(values, ends[:-1])]
        taken = list(zip(self._iterations, means, strict=True))
        self._iterations, self._used = [], 0
        return taken
