"""predictions.csv and records.npy: a row for each record, for people and for questions.

The table is written as the records come, and can be opened in any spreadsheet. records.npy holds
the numbers of the same rows, and at which byte of the table each begins; it is mapped, so that a
question about 50 of a million rows reads little more than those.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minidl.errors import FormatError, UsageError
from minidl.storage import files

TABLE, NUMBERS = "predictions.csv", "records.npy"
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: with an apostrophe before it, if it
    begins with = + - @, a tab or a carriage return, after any number of apostrophes.

    >>> guarded("=cmd|' /C calc'!A0"), guarded("cat.jpg")
    ("'=cmd|' /C calc'!A0", 'cat.jpg')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Return what `guarded` was given."""
    return text[1:] if _GUARDED.match(text) else text


def decimal(value: float) -> str:
    """Return a number with six digits after the point, never with an exponent; "" for NaN."""
    return "" if value != value else f"{value:.6f}"


class Writer:
    """Writes the table row by row, and at the end the numbers.

    file      the table, as `files.replacing` opens it
    columns   of the table
    dtype     a structured one, without "at", the place in the table
    """

    def __init__(self, file: BinaryIO, columns: Sequence[str], dtype: Any) -> None:
        self._file = file
        self._parts: list[np.ndarray] = []
        self._dtype = np.dtype([*np.dtype(dtype).descr, ("at", "<i8")])
        self._at = 0
        self._put([columns])

    def add(self, rows: Iterable[Sequence[str]], numbers: np.ndarray) -> None:
        """Add rows and their numbers, an array of the Writer's dtype without "at"."""
        part = np.empty(len(numbers), self._dtype)
        for name in numbers.dtype.names or ():
            part[name] = numbers[name]
        part["at"] = self._put(rows)
        self._parts.append(part)

    def write_numbers(self, folder: Path) -> np.ndarray:
        """Write records.npy; return its array."""
        found = np.concatenate(self._parts) if self._parts else np.empty(0, self._dtype)
        with files.replacing(folder / NUMBERS, own=True) as file:
            np.save(file, found)
        return found

    def _put(self, rows: Iterable[Sequence[str]]) -> np.ndarray:
        """Write rows; return the byte at which each begins."""
        text, ends = io.StringIO(), [0]
        table = csv.writer(text, lineterminator="\n")
        for row in rows:
            table.writerow(row)
            ends.append(text.tell())
        data = text.getvalue()
        if not data.isascii():  # a character may be several bytes
            lines = [data[start:end] for start, end in zip(ends, ends[1:], strict=False)]
            sizes = [len(line.encode("utf-8", "surrogateescape")) for line in lines]
            ends = [0, *itertools.accumulate(sizes)]
        self._file.write(data.encode("utf-8", "surrogateescape"))
        places = self._at + np.array(ends[:-1], np.int64)
        self._at += ends[-1]
        return places


class Reader:
    """The rows of an evaluation, by number.

    numbers   a structured array, mapped

    Errors: UsageError for a folder without them; FormatError for a damaged one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._path = Path(folder, TABLE)
        place = Path(folder, NUMBERS)
        if not place.is_file() or not self._path.is_file():
            raise UsageError(
                f"holds no {TABLE} with its {NUMBERS}",
                where=str(folder),
                expected="the folder that minidl evaluate wrote to",
            )
        try:
            self.numbers = np.load(place, mmap_mode="r", allow_pickle=False)
            if not self.numbers.dtype.names or "at" not in self.numbers.dtype.names:
                raise ValueError("has other columns")
        except (ValueError, EOFError, OSError) as error:
            raise FormatError(f"is damaged: {error}", where=str(place)) from None

    def __len__(self) -> int:
        return len(self.numbers)

    def names(self, indices: Sequence[int]) -> list[str]:
        """Return the names of these records."""
        found = []
        with open(self._path, "rb") as file:
            for i in indices:
                file.seek(int(self.numbers["at"][i]))
                last = i + 1 == len(self)
                size = -1 if last else int(self.numbers["at"][i + 1] - self.numbers["at"][i])
                text = file.read(size).decode("utf-8", "surrogateescape")
                row = next(csv.reader(io.StringIO(text, newline="")), None)
                if row is None or row[0] != str(i):
                    raise FormatError(
                        "was changed: its rows are not where they were",
                        where=str(self._path),
                        fix="evaluate again",
                    )
                found.append(unguarded(row[1]))
        return found
