"""Rows of arrays in HDF5 files, listed in a text file."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.sources.image_list import read_lines
from minidl.errors import DataError
from minidl.storage import hdf5

WHAT = "data set"


class Hdf5Rows:
    """Rows of the datasets `names`, over all files of a list, one file after the other.

    list_file  a text file with the path of one HDF5 file per line
    names      of datasets that each file has: (R, ...), whole numbers or floats; R rows in all of a
               file's datasets, and the rest of their shapes the same in all files

    lengths    rows of each file
    shapes     of a row of each of `names`

    Rows are read on demand, by any number of threads, so a data set may be larger than
    the memory. Errors: DataError for a list or a dataset that does not fit, FormatError for a
    damaged file, UsageError for an absent one or without h5py.
    """

    def __init__(self, list_file: Path, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._lock = threading.Lock()
        self._open: tuple[int, Any] | None = None  # number of a file, and the file
        lines = list(read_lines(list_file))
        if not lines:
            raise DataError("lists no file", where=str(list_file), expected="paths, one a line")
        self.paths = [path for _, path in lines]
        self.lengths: list[int] = []
        self.shapes: tuple[tuple[int, ...], ...] = ()
        try:
            for number in range(len(self.paths)):
                rows, shapes = self._look(number)
                if number and shapes != self.shapes:
                    raise DataError(
                        f"has rows of shape {shapes}, {self.paths[0]} of shape {self.shapes}",
                        where=self.paths[number],
                        expected="rows of one shape in all files",
                    )
                self.shapes = shapes
                self.lengths.append(rows)
        except BaseException:
            self.close()
            raise
        self._starts = [0, *itertools.accumulate(self.lengths)]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, numbers: Sequence[int], out: Sequence[np.ndarray]) -> None:
        """Write the rows of these numbers to arrays (N, ...), one for each of `names`."""
        with self._lock:
            for place, file, row, count in self._runs(numbers):
                with hdf5.explaining(self.paths[file], WHAT):
                    for name, array in zip(self.names, out, strict=True):
                        array[place : place + count] = self._file(file)[name][row : row + count]

    def describe(self, number: int) -> str:
        file = bisect.bisect_right(self._starts, number) - 1
        return f"row {number - self._starts[file]} of {self.paths[file]}"

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _runs(self, numbers: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
        """Yield (place in the batch, file, row, count) of rows that are consecutive in a file."""
        place = 0
        while place < len(numbers):
            first = numbers[place]
            file = bisect.bisect_right(self._starts, first) - 1
            count, end = 1, self._starts[file + 1]
            for number in numbers[place + 1 :]:
                if number != first + count or number >= end:
                    break
                count += 1
            yield place, file, first - self._starts[file], count
            place += count

    def _file(self, number: int) -> Any:
        """Return the open file of this number; only one is open at a time."""
        if self._open is None or self._open[0] != number:
            self.close()
            self._open = number, hdf5.open_file(self.paths[number], WHAT)
        return self._open[1]

    def _look(self, number: int) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """Return how many rows a file has, and their shapes."""
        path = self.paths[number]
        with hdf5.explaining(path, WHAT):
            file = self._file(number)
            shapes = [self._shape(file, name, path) for name in self.names]
        rows = [shape[0] for shape in shapes]
        if len(set(rows)) > 1 or not rows[0]:
            has = ", ".join(f"{n} of '{name}'" for n, name in zip(rows, self.names, strict=True))
            raise DataError(
                f"has rows: {has}", where=path, expected="the same number of each, at least 1"
            )
        return rows[0], tuple(shape[1:] for shape in shapes)

    def _shape(self, file: Any, name: str, path: str) -> tuple[int, ...]:
        import h5py

        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            known = ", ".join(f"'{key}'" for key in itertools.islice(file, 10))
            raise DataError(
                f"has no dataset '{name}'",
                where=path,
                expected=f"one for each top of the layer; it has {known or 'none'}",
            )
        if dataset.dtype.kind not in "fiu" or dataset.dtype.itemsize > 8 or not dataset.shape:
            raise DataError(
                f"'{name}' has the type {dataset.dtype} and the shape {dataset.shape}",
                where=path,
                expected="numbers, with an axis of rows",
            )
        hdf5.check_size(dataset, name, path)
        return tuple(dataset.shape)
