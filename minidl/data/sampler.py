"""Assign records to batches."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from minidl.arrays.rng import Streams

Permutation = Callable[[int], np.ndarray]


class Sequential:
    """Records in the order of the source, over and over, as in Caffe's Data layer.

    Batch n of rank r among `size` ranks is a pure function of n, so a run can resume anywhere: its
    k-th record is number (skip + (n * batch_size + k) * size + r) mod length. Every rank reads each
    size-th record, and a batch continues over the end of the data set at its beginning.

    skip    records to skip at the beginning, once

    >>> order = Sequential(length=5, batch_size=3)
    >>> order.batch(0), order.batch(1)
    ([0, 1, 2], [3, 4, 0])
    >>> Sequential(length=5, batch_size=2, rank=1, size=2).batch(1)
    [0, 2]
    """

    def __init__(
        self, length: int, batch_size: int, rank: int = 0, size: int = 1, skip: int = 0
    ) -> None:
        self.length, self.batch_size, self.rank, self.size = length, batch_size, rank, size
        self.skip = skip

    def batch(self, number: int) -> list[int]:
        """Return the numbers of the records of batch `number`, counted from 0."""
        first = number * self.batch_size
        places = (
            divmod(self.skip + k * self.size + self.rank, self.length)
            for k in range(first, first + self.batch_size)
        )
        return [self.record(*place) for place in places]

    def record(self, epoch: int, place: int) -> int:
        """Return the record at this place of a pass over the data set."""
        return place

    def restarts(self, number: int) -> int:
        """Return how often the end of the data set is reached within batch `number`."""
        step = self.batch_size * self.size
        before = self.skip + number * step
        return (before + step) // self.length - before // self.length


class Shuffled(Sequential):
    """All records in every pass over the data set, in another order each time.

    permutation   of the numbers of the records, a pure function of the pass, counted from 0

    >>> order = Shuffled(3, 2, lambda epoch: [[2, 0, 1], [1, 2, 0]][epoch])
    >>> [order.batch(n) for n in range(3)]
    [[2, 0], [1, 1], [2, 0]]
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        permutation: Permutation,
        rank: int = 0,
        size: int = 1,
        skip: int = 0,
    ) -> None:
        super().__init__(length, batch_size, rank, size, skip)
        self._permutation = permutation

    def record(self, epoch: int, place: int) -> int:
        return int(self._permutation(epoch)[place])


def shuffling(streams: Streams, lengths: tuple[int, ...]) -> Permutation:
    """Return random orders of records in files of these lengths, one for each pass.

    A pure function of the seed, the lengths and the pass, so no state needs saving, and two
    stores of equal length, images and their labels, are shuffled alike. The files come in a
    random order, and so do the records of each, but records of different files do not mix.

    The order is that in which random 64-bit numbers sort. NumPy guarantees those forever, its own
    `permutation` only within a release.
    """
    starts = np.cumsum([0, *lengths])

    @functools.lru_cache(maxsize=2)  # a batch may reach into the next pass
    def permutation(epoch: int) -> np.ndarray:
        bits = streams.generator("order of records", epoch).bit_generator
        draw = bits.random_raw
        files = np.argsort(draw(len(lengths)), kind="stable")
        parts = [starts[i] + np.argsort(draw(lengths[i]), kind="stable") for i in files]
        return np.concatenate(parts)

    return permutation
