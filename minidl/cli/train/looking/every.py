"""When a run is looked at: every so many epochs."""

from __future__ import annotations

import logging

from minidl.solver import Run, epochs

log = logging.getLogger("minidl")


class Every:
    """The first iteration, then the first that is at or beyond each multiple of so many epochs,
    and the last one.

    >>> every = Every(2.5, last=11)
    >>> [i for i in range(1, 12) if every.due(i)]
    [1, 3, 5, 8, 10, 11]
    """

    def __init__(self, iterations: float, last: int) -> None:
        self.iterations, self.last = max(iterations, 1.0), last

    def due(self, iteration: int) -> bool:
        """Return whether it is time after this many iterations."""
        if iteration in (1, self.last):
            return True
        before = int((iteration - 1) / self.iterations)
        return iteration > 0 and int(iteration / self.iterations) != before


def of(run: Run, wanted: float, flag: str) -> Every:
    """Return when a run is to be looked at, every `wanted` epochs."""
    length = epochs.of(run).iterations
    if not length:
        length = run.param.test_interval or run.param.snapshot or 1000
        log.warning(
            "--%s: its data layer does not say how long an epoch is: %d iterations are taken for"
            " one",
            flag,
            length,
        )
    return Every(wanted * length, run.param.max_iter)
