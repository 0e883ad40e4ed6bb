"""Batches of rows of HDF5 files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.data.batches import Batch, Shape, room
from minidl.data.sampler import Sequential
from minidl.data.sources.hdf5 import Hdf5Rows


class RowBatches:
    """Batch n: the rows given by `order`, unchanged, an array for each dataset.

    empty   makes a batch's arrays: shape and dtype -> an array with any contents
    """

    def __init__(
        self,
        rows: Hdf5Rows,
        order: Sequential,
        dtype: Any,
        empty: Callable[[Shape, Any], np.ndarray] = np.empty,
    ) -> None:
        self._rows, self._order, self._dtype, self._empty = rows, order, dtype, empty
        self.restarts, self.length = order.restarts, order.length
        self.shapes: tuple[Shape, ...] = tuple((order.batch_size, *row) for row in rows.shapes)

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        numbers = self._order.batch(number)
        arrays = room(self.shapes, self._dtype, spare, self._empty)
        self._rows.read(numbers, arrays)
        return Batch(arrays, [(n, "") for n in numbers])

    def describe(self, record: tuple[int, str]) -> str:
        return self._rows.describe(record[0])

    def close(self) -> None:
        self._rows.close()
