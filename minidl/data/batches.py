"""Batches of records: batch number n is a pure function of n."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from minidl.data.sampler import Sequential
from minidl.data.sources import Source
from minidl.data.transform import Transform
from minidl.errors import DataError
from minidl.rng import Streams


class Batch(NamedTuple):
    """Transformed records: data (N, C, H, W), labels (N), and what each of them was."""

    data: np.ndarray
    labels: np.ndarray
    records: list[tuple[int, str]]  # number and key


class Maker(Protocol):
    """What makes batches, from a source or out of thin air."""

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        """Batch `number`; its arrays are those of `spare` where they fit."""

    def restarts(self, number: int) -> int:
        """How often the data set begins again within batch `number`."""

    def describe(self, record: tuple[int, str]) -> str:
        """The record in words."""


class Batches:
    """Read records in the sampler's order, transform each into its place in the batch.

    The random numbers of batch n are those of (seed, name, n): the same in whatever thread,
    however often, and whether or not the batches before it were made.

    empty    makes a batch's arrays: shape and dtype -> an array with any contents

    The first record decides the shape of its batch. Another shape within the batch is a DataError
    that names both records, unless crop_size makes them equal.
    """

    def __init__(
        self,
        source: Source,
        transform: Transform,
        batch_size: int,
        dtype: Any,
        streams: Streams,
        name: str,
        empty: Callable[[tuple[int, ...], Any], np.ndarray] = np.empty,
    ) -> None:
        self._empty_array = empty
        self._source, self._transform, self._dtype = source, transform, dtype
        self._streams, self._name = streams, name
        self._order = Sequential(len(source), batch_size)
        self.restarts = self._order.restarts

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        numbers = self._order.batch(number)
        records: list[tuple[int, str]] = []
        batch: Batch | None = None
        rng = self._streams.generator(self._name, number) if self._transform.random else None
        for i, n in enumerate(numbers):
            key, image, label = self._source[n]
            shape = self._transform.top_shape(image.shape, self._source.describe(n, key))
            records.append((n, key))
            if batch is None:
                batch = self._empty((len(numbers), *shape), records, spare)
            elif batch.data.shape[1:] != shape:
                self._refuse(records, batch.data.shape[1:], shape)
            self._transform(image, rng, batch.data[i])
            batch.labels[i] = label
        assert batch is not None  # batch_size >= 1
        return batch

    def describe(self, record: tuple[int, str]) -> str:
        return self._source.describe(*record)

    def _empty(
        self, shape: tuple[int, ...], records: list[tuple[int, str]], spare: Batch | None
    ) -> Batch:
        if spare is not None and spare.data.shape == shape:
            return Batch(spare.data, spare.labels, records)
        data, labels = (self._empty_array(s, self._dtype) for s in (shape, shape[:1]))
        return Batch(data, labels, records)

    def _refuse(
        self, records: list[tuple[int, str]], shape: tuple[int, ...], other: tuple[int, ...]
    ) -> None:
        raise DataError(
            f"{self.describe(records[-1])} gives {other}, but the first of its batch, "
            f"{self.describe(records[0])}, gives {shape}",
            expected="records of one shape within a batch",
            fix="set transform_param.crop_size, or batch_size: 1",
        )


class StandIn:
    """One batch of noise, over and over, in place of a data set that is not there.

    data    standard normal values (what records are after a good transform)
    labels  0 or 1 at random, which every loss accepts

    For timing and checking nets: what it gives costs no time and means nothing.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, streams: Streams, name: str) -> None:
        self._shape, self._dtype, self._streams, self._name = shape, dtype, streams, name
        self._batch: Batch | None = None

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        if self._batch is None:  # not before: shapes alone need no memory
            rng = self._streams.generator(self._name, 0)
            data = rng.standard_normal(self._shape, np.float32).astype(self._dtype, copy=False)
            labels = rng.integers(0, 2, self._shape[0]).astype(self._dtype)
            self._batch = Batch(data, labels, [(i, "") for i in range(self._shape[0])])
        return self._batch

    def restarts(self, number: int) -> int:
        return 0

    def describe(self, record: tuple[int, str]) -> str:
        return f"random record {record[0]}"
