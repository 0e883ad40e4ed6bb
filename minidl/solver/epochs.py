"""Passes over the data set that a run learns from: where one ends."""

from __future__ import annotations

from typing import NamedTuple

from minidl.solver.display import batch_size
from minidl.solver.run import Run


class Epochs(NamedTuple):
    """How a run goes through its records.

    records     of the data set; 0 where that is not known: then no epoch ever ends
    images      that one iteration takes: batch size times iter_size

    >>> found = Epochs(records=10, images=4)
    >>> found.iterations
    2.5
    >>> [found.ended(i) for i in range(7)]
    [0, 0, 0, 1, 1, 2, 2]
    """

    records: int
    images: int

    @property
    def iterations(self) -> float:
        """Iterations of an epoch, which need not be whole; 0 where that is not known."""
        return self.records / self.images if self.images else 0.0

    def ended(self, iteration: int) -> int:
        """Return how many epochs are complete after this many iterations."""
        return iteration * self.images // self.records if self.records else 0

    def end(self, iteration: int) -> int:
        """Return the epoch that the last of this many iterations completed; 0: it did not."""
        found = self.ended(iteration)
        return found if iteration and found != self.ended(iteration - 1) else 0


def of(run: Run) -> Epochs:
    """Return the epochs of a run: those of the first layer of its net that counts records."""
    counts = [layer.records for layer in run.net.data_layers]
    records = next((count for count in counts if count), 0)
    return Epochs(records, run.param.iter_size * batch_size(run.net))
