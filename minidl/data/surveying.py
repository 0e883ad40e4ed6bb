"""What is in a store that somebody else made: labels, shapes, copies, means; read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import browsing, duplicates
from minidl.data.moments import Moments
from minidl.data.sources import datum
from minidl.data.sources.datums import Store
from minidl.data.sources.hdf5 import Hdf5Rows
from minidl.errors import DataError
from minidl.storage import hdf5

SAMPLE = 2000  # image files of a store that are decoded; of arrays all count
ROWS = 64  # of HDF5 files, at once
UNKNOWN = -1  # label of a record that cannot be read
_KINDS = {b"\x89PNG": "png", b"\xff\xd8": "jpg"}


@dataclass
class Survey:
    """A store's records.

    names, digests   what to call them, and a number for each one's picture
    labels           of all records, (N,); None if they have none, or not one whole number
    shapes           (C, H, W) of the pictures, and how many have it
    encoding         "png" or "jpg", if the first record is such a file
    moments          of the pictures that have the first one's shape, if they are `measured`
    broken           a sentence for each record that cannot be read
    store            where the records are, if it is an LMDB or a LevelDB
    """

    measured: bool = True
    store: Store | None = None

    names: list[str] = field(default_factory=list)
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    labels: np.ndarray | None = None
    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    encoding: str = ""
    moments: Moments = field(default_factory=Moments)
    broken: list[str] = field(default_factory=list)

    def add(self, image: np.ndarray) -> None:
        self.shapes[image.shape] += 1
        if self.measured and (not self.moments.count or image.shape == self.moments.shape):
            self.moments.add(image)


def of_datums(
    store: Store, path: Path, tick: Callable[[], object], measured: bool = True
) -> Survey:
    """Read all records of an LMDB or LevelDB of Datums. One that cannot be read is listed.

    Errors: DataError if none can be read.
    """
    found, step = Survey(measured, store), max(1, len(store) // SAMPLE)
    found.digests = np.zeros(len(store), np.uint64)
    found.labels = np.full(len(store), UNKNOWN, np.int32)
    for number in range(len(store)):
        tick()
        key, value = store[number]
        name = key.decode("utf-8", "surrogateescape")
        found.names.append(browsing.name_of(name))
        try:
            message = datum.parse(value)
            found.labels[number] = message.label
            data = message.data or value
            found.digests[number] = duplicates.digest(data)
            if message.encoded and not found.encoding:
                found.encoding = next((k for b, k in _KINDS.items() if data.startswith(b)), "")
            if not message.encoded or number % step == 0:
                found.add(datum.to_array(message))
        except DataError as error:
            found.digests[number] = duplicates.digest(key + value)
            found.broken.append(f"record {number}, key '{name}': {error.found}")
    if not found.shapes:
        raise DataError(
            f"has no record that can be read: {found.broken[0] if found.broken else 'it is empty'}",
            where=str(path),
            expected=datum.EXPECTED,
        )
    return found


def open_rows(list_file: Path) -> Hdf5Rows:
    """Open listed HDF5 files: their datasets `data` and, if there is one, `label`.

    Errors: as of Hdf5Rows.
    """
    rows = Hdf5Rows(list_file, [browsing.DATA])
    rows.close()
    with hdf5.reading(rows.paths[0], "data set") as file:
        labels = browsing.LABEL_SET in file
    return Hdf5Rows(list_file, [browsing.DATA, browsing.LABEL_SET]) if labels else rows


def of_rows(rows: Hdf5Rows, tick: Callable[[], object], measured: bool = True) -> Survey:
    """Read all rows of HDF5 files."""
    found, digests, labels = Survey(measured), [], []
    for start in range(0, len(rows), ROWS):
        numbers = range(start, min(start + ROWS, len(rows)))
        arrays = [np.empty((len(numbers), *shape), np.float32) for shape in rows.shapes]
        rows.read(numbers, arrays)
        for row in arrays[0]:
            tick()
            digests.append(duplicates.digest(row.tobytes()))
            found.add(browsing.as_picture(row))
        labels += arrays[1:]
    found.names = [f"row {i}" for i in range(len(rows))]
    found.digests = np.array(digests, np.uint64)
    if labels:
        found.labels = _whole(np.concatenate(labels).reshape(len(rows), -1))
    return found


def _whole(values: np.ndarray) -> np.ndarray | None:
    """Return labels (N,) of rows (N, L); None if there are several a row, or real ones."""
    if values.shape[1] != 1 or not (np.rint(values) == values).all():
        return None
    return values[:, 0].astype(np.int32)


def range_of(labels: np.ndarray | None) -> tuple[int, int] | None:
    """Return the least and the greatest label; None without labels."""
    known: Any = () if labels is None else labels[labels != UNKNOWN]
    return (int(known.min()), int(known.max())) if len(known) else None
