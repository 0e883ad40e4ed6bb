"""Text files that list images and their labels, a line each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minidl.data.sources import Sample, image
from minidl.errors import DataError, UsageError, placed_at, raise_all
from minidl.storage import files, sniff

MOST_TEXT = 1 << 30  # bytes of a list
MOST_ERRORS = 1000  # of a list, after which it is read no further
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class ImageList:
    """The images that a text file names, as ``cats/tom.jpg 3``: a path, then one or more numbers.

    file    the text file
    root    put before every path, as it is: a folder has to end in a slash
    color   True for 3 channels (blue, green, red), False for 1, None for what the file has
    upright   turn them as their EXIF orientation says
    count   numbers at the end of each line; 0: as many as on the first line. Every line must
            have as many, and the rest before them, blanks included, is the path

    Empty lines are skipped. One number a line is a label of shape (), L of them are (L,).
    Errors: DataError for a list that is absent, not text or without lines, and for lines that do
    not fit, all of them at once; later for images that are absent or damaged.
    """

    decoded = True

    def __init__(
        self,
        file: Path,
        root: str = "",
        color: bool | None = True,
        count: int = 0,
        upright: bool = True,
    ) -> None:
        self.file, self.root, self.color, self.upright = file, root, color, upright
        lines = list(read_lines(file))
        if not lines:
            raise DataError("lists no image", where=str(file), expected="lines such as 'cat.jpg 3'")
        self.count = count or max(1, _numbers_at_end(lines[0][1]))
        self.lines = np.array([number for number, _ in lines])
        self.paths, labels = [], []
        errors: list[DataError] = []
        for number, line in lines:
            if len(errors) == MOST_ERRORS:
                break
            path, *words = line.rsplit(None, self.count)
            found = _numbers_at_end(line)
            if len(words) < self.count or not all(map(NUMBER.fullmatch, words)):
                errors.append(self._misfit(number, line, found))
            elif not count and found != self.count and found > 1:
                errors.append(self._misfit(number, line, found))
            elif not all(map(math.isfinite, numbers := list(map(float, words)))):
                errors.append(
                    DataError(
                        f"the label is {max(numbers):g}",
                        where=f"{file}:{number}",
                        expected="a number that 64 bits can hold",
                    )
                )
            else:
                self.paths.append(path)
                labels.append(numbers)
        raise_all(errors)
        self.labels = np.array(labels)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Sample:
        path = self.paths[number]
        label = self.labels[number] if self.count > 1 else self.labels[number, 0]
        with placed_at(self._place(number)):
            return Sample(path, image.decode(self.read(number), self.color, self.upright), label)

    def read(self, number: int) -> bytes:
        """The bytes of an image file. Errors: DataError."""
        return image.read(self.root + self.paths[number], self._place(number))

    def describe(self, number: int, key: str) -> str:
        return f"'{key}', line {self.lines[number]} of {self.file}"

    def close(self) -> None:
        pass

    def _place(self, number: int) -> str:
        return f"{self.file}:{self.lines[number]}"

    def _misfit(self, number: int, line: str, found: int) -> DataError:
        many = f"{self.count} numbers, as the first line has" if self.count > 1 else "a number"
        has = f"{found} number{'s' * (found > 1)} at its end" if found else "no label"
        return DataError(
            f"'{line if len(line) < 80 else line[:77] + '...'}' has {has}",
            where=f"{self.file}:{number}",
            expected=f"a path, a blank, {many}",
            fix="image_data_param { labels: N } sets how many numbers are labels"
            if found > self.count
            else "",
        )


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """(number, counted from 1; text without blanks around it) of the lines that are not empty.

    Errors: DataError for a file that does not exist, or is not text.
    """
    try:
        data = files.read(file, "text", limit=MOST_TEXT).tobytes()
    except UsageError as error:
        raise DataError(
            f"cannot be read: {error.found}",
            where=str(file),
            expected=error.expected or "a text file",
            fix=error.fix or "a relative path starts from the current folder",
        ) from None
    if b"\0" in data:
        raise DataError("is not a text file: it has zero bytes", where=str(file))
    kind = sniff.guess(data[:1024])
    if kind in (sniff.WEB_PAGE, sniff.POINTER):
        raise DataError(f"is {kind}", where=str(file), expected="a text file")
    text = data.decode("utf-8-sig", "surrogateescape")  # file names may be of any bytes
    for number, line in enumerate(text.split("\n"), 1):
        if stripped := line.strip():
            yield number, stripped


def _numbers_at_end(line: str) -> int:
    """Return how many words at the end of a line are numbers; the first word is always a path."""
    count = 0
    for word in reversed(line.split()[1:]):
        if not NUMBER.fullmatch(word):
            break
        count += 1
    return count
