"""Batches of records: batch number n is a pure function of n."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np

from minidl.arrays.rng import Streams
from minidl.data.sampler import Sequential
from minidl.data.sources import Sample, Source
from minidl.data.transform import Transform
from minidl.errors import DataError

Shape = tuple[int, ...]


class Batch(NamedTuple):
    """An array for each possible top, items along the first axis, and the record of each item.

    For images: data (N, C, H, W), transformed, and labels, (N) or (N, L); (N, 1, H, W) of pixels.
    """

    arrays: tuple[np.ndarray, ...]
    records: list[tuple[int, str]]  # number and key

    @property
    def data(self) -> np.ndarray:
        return self.arrays[0]

    @property
    def labels(self) -> np.ndarray:
        return self.arrays[1]


class Maker(Protocol):
    """Makes batches, from a source or from noise.

    length   records of the data set, which come one after the other over and over; 0 where they
             are drawn, or there are none
    """

    length: int

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        """Return batch `number`; it reuses the arrays of `spare` where they fit."""

    def restarts(self, number: int) -> int:
        """Return how often the data set starts over within batch `number`."""

    def describe(self, record: tuple[int, str]) -> str:
        """Describe the record in words."""

    def close(self) -> None:
        """Release files and threads."""


def room(
    shapes: tuple[Shape, ...],
    dtype: Any,
    spare: Batch | None,
    empty: Callable[[Shape, Any], np.ndarray],
) -> tuple[np.ndarray, ...]:
    """Return arrays of these shapes, with any contents: those of `spare` that fit, or new."""
    old = spare.arrays if spare is not None else (None,) * len(shapes)
    return tuple(
        array if array is not None and array.shape == shape else empty(shape, dtype)
        for shape, array in zip(shapes, old, strict=True)
    )


class ThreadedMaker:
    """Base of the makers of batches whose items threads make from records.

    Random numbers follow from the seed, `name` and the batch's number: a batch is the same for any
    number of threads, however often it is made, and whether or not those before it were made.

    source   the records; closed with the maker
    look     what is done to a record
    order    which records make up which batch
    workers  threads that make the items of a batch
    empty    makes a batch's arrays: shape and dtype -> an array with any contents
    """

    def __init__(
        self,
        source: Any,
        look: Any,
        order: Sequential,
        dtype: Any,
        streams: Streams,
        name: str,
        workers: int = 1,
        empty: Callable[[Shape, Any], np.ndarray] = np.empty,
    ) -> None:
        self._source, self._look, self._order = source, look, order
        self._dtype, self._streams, self._name, self._empty = dtype, streams, name, empty
        pool = ThreadPoolExecutor(workers, f"minidl worker of {name}") if workers > 1 else None
        self._pool, self.restarts, self.length = pool, order.restarts, order.length

    def describe(self, record: tuple[int, str]) -> str:
        name: str = self._source.describe(*record)
        return name

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._source.close()

    def _room(self, shapes: tuple[Shape, ...], spare: Batch | None) -> tuple[np.ndarray, ...]:
        return room(shapes, self._dtype, spare, self._empty)

    def _each(self, make: Callable[..., Any], *items: Iterable[Any]) -> list[Any]:
        """Return ``make(*item)`` for each item, in threads; raise what the first of them raised."""
        run = map if self._pool is None else self._pool.map
        return list(run(make, *items))


class Batches(ThreadedMaker):
    """Read records in the sampler's order, transform each into its place in the batch.

    The random numbers of batch n are those of (seed, name, n), dealt to its items before any of
    them is made. The `look` is the Transform.

    The first record decides the shape of its batch. Another shape within the batch is a DataError
    that names both records, unless crop_size makes them equal.
    """

    _source: Source
    _look: Transform

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        numbers = self._order.batch(number)
        first = self._source[numbers[0]]
        shape, key = self._shape(numbers[0], first), (numbers[0], first.key)
        shapes = (len(numbers), *shape), (len(numbers), *self.label_shape(first))
        batch = Batch(self._room(shapes, spare), [key] * len(numbers))
        u = self._draw(number, len(numbers))

        def put(i: int, sample: Sample | None = None) -> None:
            sample = sample or self._source[numbers[i]]
            batch.records[i] = numbers[i], sample.key
            found = self._shape(numbers[i], sample)
            if found != shape:
                self._refuse(batch.records[i], found, key, shape)
            self._look(sample.image, None if u is None else u[i], batch.data[i])
            if batch.labels.ndim == 4:
                self._look.label(sample.label, None if u is None else u[i], batch.labels[i])
            else:
                batch.labels[i] = sample.label

        put(0, first)
        self._each(put, range(1, len(numbers)))
        return batch

    def label_shape(self, sample: Sample) -> Shape:
        """Return the shape of a sample's label in a batch: cut as the sample's image is."""
        shape = sample.label_shape
        return self._look.label_shape(shape) if len(shape) == 3 else shape

    def _draw(self, number: int, count: int) -> np.ndarray | None:
        """Return a row of numbers from [0, 1) for each item of batch `number`."""
        if not self._look.random:
            return None
        rng = self._streams.generator(self._name, number)
        return rng.random((count, self._look.draws))

    def _shape(self, number: int, sample: Sample) -> Shape:
        """Return the shape of the record, transformed."""
        name = self._source.describe(number, sample.key)
        return self._look.top_shape(sample.image.shape, name)

    def _refuse(
        self, record: tuple[int, str], found: Shape, first: tuple[int, str], shape: Shape
    ) -> None:
        raise DataError(
            f"{self.describe(record)} gives {found}, but the first of its batch, "
            f"{self.describe(first)}, gives {shape}",
            expected="records of one shape within a batch",
            fix="set transform_param.crop_size, or batch_size: 1",
        )


class StandIn:
    """One batch of noise, over and over, in place of a missing data set.

    shapes  of the batch's arrays: the first gets standard normal values (like records after a
            good transform), the others 0 or 1 at random, which every loss accepts as labels

    For timing and checking nets: its contents cost no time and mean nothing.
    """

    length = 0

    def __init__(self, shapes: tuple[Shape, ...], dtype: Any, streams: Streams, name: str) -> None:
        self._shapes, self._dtype, self._streams, self._name = shapes, dtype, streams, name
        self._batch: Batch | None = None

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        if self._batch is None:  # lazily: shapes alone need no memory
            rng = self._streams.generator(self._name, 0)
            data, *others = self._shapes
            first = rng.standard_normal(data, np.float32).astype(self._dtype, copy=False)
            labels = [rng.integers(0, 2, shape).astype(self._dtype) for shape in others]
            self._batch = Batch((first, *labels), [(i, "") for i in range(data[0])])
        return self._batch

    def restarts(self, number: int) -> int:
        return 0

    def describe(self, record: tuple[int, str]) -> str:
        return f"random record {record[0]}"

    def close(self) -> None:
        pass
