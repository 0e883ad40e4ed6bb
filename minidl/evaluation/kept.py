"""Pictures that go into a net and come out of it, kept as the records come: a file for each kind.

    inputs.npy, outputs.npy, targets.npy     uint8 (records, C, H, W)

Together they take at most `MOST` bytes; then those of the first records are there.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from minidl.storage import files

MOST = 1 << 30
FILES = {"png": "inputs.npy", "output_png": "outputs.npy", "target_png": "targets.npy"}


class Rows:
    """An array of rows in a .npy file, written as they come.

    count   of rows, at most;  limit   of bytes, at most
    """

    def __init__(self, path: Path, count: int, limit: float = math.inf) -> None:
        self._path, self._count, self._limit, self._done = path, count, limit, 0
        self._part = path.with_name(f".{path.name}.part")
        self._array: Any = None

    def add(self, rows: np.ndarray) -> None:
        """Add rows of one shape and type, as far as they fit."""
        if self._array is None:
            self._count = int(min(self._count, self._limit // max(1, rows[0].nbytes)))
            if not self._count:
                return
            shape = (self._count, *rows.shape[1:])
            self._array = np.lib.format.open_memmap(self._part, "w+", rows.dtype, shape)
        some = rows[: self._count - self._done]
        if some.shape[1:] != self._array.shape[1:]:
            self._count = self._done  # another size: no further ones
            return
        self._array[self._done : self._done + len(some)] = some
        self._done += len(some)

    def close(self) -> int:
        """Write the file; return the number of rows in it."""
        if self._array is None:
            return 0
        self._array.flush()
        if self._done == len(self._array):
            os.replace(self._part, self._path)
        else:
            with files.replacing(self._path, own=True) as file:
                np.save(file, self._array[: self._done])
            self._part.unlink()
        self._array = None
        return self._done

    def drop(self) -> None:
        """Remove what is not finished."""
        self._array = None
        self._part.unlink(missing_ok=True)


class Kept:
    """The pictures of an evaluation.

    names   keys of FILES
    """

    def __init__(self, folder: Path, count: int, names: tuple[str, ...]) -> None:
        limit = MOST // max(1, len(names))
        self._rows = {name: Rows(folder / FILES[name], count, limit) for name in names}

    def add(self, pictures: dict[str, np.ndarray]) -> None:
        """Add the pictures of a batch, uint8 (N, C, H, W), by their names."""
        for name, values in pictures.items():
            if name in self._rows:
                self._rows[name].add(values)

    def close(self) -> int:
        """Write the files; return of how many records there are pictures."""
        return min((rows.close() for rows in self._rows.values()), default=0)

    def drop(self) -> None:
        for rows in self._rows.values():
            rows.drop()


def stored(folder: Path, numbers: list[int]) -> list[dict[str, np.ndarray]]:
    """Return the pictures of these records by their names, as far as they were kept."""
    arrays = {
        name: np.load(folder / file, mmap_mode="r", allow_pickle=False)
        for name, file in FILES.items()
        if (folder / file).is_file()
    }
    return [{k: np.array(a[i]) for k, a in arrays.items() if i < len(a)} for i in numbers]
