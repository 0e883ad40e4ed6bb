"""Which records make up which batch."""

from __future__ import annotations


class Sequential:
    """Records in the order of the source, over and over: Caffe's Data layer knows no other.

    Batch n of rank r among `size` ranks is a pure function of n, so a run can go on anywhere: its
    k-th record is number ((n * batch_size + k) * size + r) mod length. Every rank reads each
    size-th record, and a batch reaches over the end of the data set into its beginning.

    >>> order = Sequential(length=5, batch_size=3)
    >>> order.batch(0), order.batch(1)
    ([0, 1, 2], [3, 4, 0])
    >>> Sequential(length=5, batch_size=2, rank=1, size=2).batch(1)
    [0, 2]
    """

    def __init__(self, length: int, batch_size: int, rank: int = 0, size: int = 1) -> None:
        self.length, self.batch_size, self.rank, self.size = length, batch_size, rank, size

    def batch(self, number: int) -> list[int]:
        """The numbers of the records of batch `number`, counted from 0."""
        first = number * self.batch_size
        return [
            (k * self.size + self.rank) % self.length for k in range(first, first + self.batch_size)
        ]

    def restarts(self, number: int) -> int:
        """How often the end of the data set is reached within batch `number`."""
        step = self.batch_size * self.size
        return (number + 1) * step // self.length - number * step // self.length
