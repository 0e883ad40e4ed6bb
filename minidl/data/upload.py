"""Batches on their way to a GPU, copied while it computes."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.device import Device
from minidl.data.batches import Batch


class _Travelling(NamedTuple):
    """A batch whose memory the GPU may still be reading; `done` is true once it is not."""

    batch: Batch
    copied: Any  # an event


class Upload:
    """Two slots on the device: the net takes a batch from one; the next is copied to the other.

    Nothing here waits. The copy runs in a stream of its own; the net's stream waits for its end,
    and it for the net's stream to have taken the slot's old batch. Only the end of an Upload waits
    for a copy under way: otherwise its memory, on both sides, could be reused while it is written.

    give_back   called with each batch that the device has read to the end

    number   of the batch that is ready or under way; None: none is
    """

    def __init__(self, device: Device, give_back: Callable[[Batch], None]) -> None:
        self._device, self._give_back = device, give_back
        self._stream: Any = device.stream  # type: ignore[attr-defined]
        cuda = device.xp.cuda
        with device.current():
            self._copying = cuda.Stream(non_blocking=True)
            self._taken = [cuda.Event(disable_timing=True) for _ in range(2)]
        gone = weakref.finalize(self, self._copying.synchronize)
        gone.atexit = False  # then there may be no driver left to wait for
        self._places: list[tuple[Any, ...]] = [(), ()]
        self._turn = 0
        self._travelling: deque[_Travelling] = deque()
        self.number: int | None = None
        self._batch: Batch | None = None

    @property
    def batch(self) -> Batch:
        """The batch with this `number`."""
        assert self._batch is not None
        return self._batch

    def start(self, number: int, batch: Batch) -> None:
        """Begin to copy this batch."""
        self._turn = 1 - self._turn
        with self._device.current():
            places = self._room(batch)
            self._copying.wait_event(self._taken[self._turn])
            for place, array in zip(places, _arrays(batch), strict=True):
                place.set(array, stream=self._copying)
            copied = self._device.xp.cuda.Event(disable_timing=True)
            copied.record(self._copying)
        self._travelling.append(_Travelling(batch, copied))
        self.number, self._batch = number, batch

    def deliver(self, targets: Sequence[Any]) -> None:
        """Copy the batch into arrays of the device: the first of its own, or all of them."""
        with self._device.current():
            self._stream.wait_event(self._travelling[-1].copied)
            for target, place in zip(targets, self._places[self._turn], strict=False):
                target[...] = place
            self._taken[self._turn].record(self._stream)
        self.number = None
        while len(self._travelling) > 1 and self._travelling[0].copied.done:
            self._give_back(self._travelling.popleft().batch)

    def _room(self, batch: Batch) -> tuple[Any, ...]:
        """Return arrays of the device for this batch, in its slot."""
        arrays = _arrays(batch)
        there = self._places[self._turn]
        if [place.shape for place in there] != [array.shape for array in arrays]:
            there = tuple(self._device.zeros(array.shape, array.dtype) for array in arrays)
            self._places[self._turn] = there
            self._copying.wait_event(self._stream.record())  # zeros must not come last
        return there


def _arrays(batch: Batch) -> tuple[np.ndarray, ...]:
    return batch.arrays
