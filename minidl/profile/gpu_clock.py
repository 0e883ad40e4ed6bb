"""A GPU's own clock: how long it worked, independent of the host."""

from __future__ import annotations

import statistics
from typing import Any

from minidl.arrays.device import Device
from minidl.engines.plan import Run

ENOUGH = 0.02  # seconds that one measurement lasts
ROUNDS = 3  # of which the best counts


class Marks:
    """Points in the device's stream, whose times are read when all is done."""

    def __init__(self, device: Device) -> None:
        self._device, self._cuda = device, device.xp.cuda

    def now(self) -> Any:
        """Return the point up to which the device has been given work."""
        with self._device.current():
            event = self._cuda.Event()
            event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Return how long the device took from one point to another, both in the past."""
        return float(self._cuda.get_elapsed_time(start, end)) / 1e3


def seconds(device: Device, run: Run) -> float:
    """Return the shortest time of a run among several rounds of many runs."""
    with device.current():
        run()
        once = max(_timed(device, run, 1), 1e-9)
        count = max(1, min(1000, round(ENOUGH / once)))
        return min(_timed(device, run, count) for _ in range(ROUNDS)) or once


def median_ms(device: Device, run: Run, repeats: int) -> float:
    """Return the median time of a run in milliseconds; a first one does not count."""
    with device.current():
        run()
        return 1e3 * statistics.median(_timed(device, run, 1) for _ in range(repeats))


def _timed(device: Device, run: Run, count: int) -> float:
    """Seconds of one of `count` runs, one right after the other."""
    marks = Marks(device)
    start = marks.now()
    for _ in range(count):
        run()
    end = marks.now()
    end.synchronize()
    return marks.seconds(start, end) / count
