"""Window files: images with boxes in them, and how far each box overlaps an object."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidl.data.sources.image_list import read_lines
from minidl.errors import DataError


class Windows(NamedTuple):
    """Boxes: rows of (image, class, x1, y1, x2, y2), whole numbers; corners belong to the box."""

    foreground: np.ndarray
    background: np.ndarray  # class 0


class WindowFile:
    """The images and windows of a file as R-CNN writes it, one image after another:

        # INDEX
        PATH
        CHANNELS
        HEIGHT
        WIDTH
        NUMBER OF WINDOWS
        CLASS OVERLAP X1 Y1 X2 Y2      once for each window

    paths     of the images
    shapes    (C, H, W) as given in the file
    windows   foreground are those whose overlap is at least `fg_threshold`, background those of the
              others whose overlap is below `bg_threshold`; the rest are not used

    Errors: DataError that names the line for a file cut short, a bad number or a box without a
    pixel in its image, and for a file without foreground or background windows where these
    are wanted.
    """

    def __init__(self, file: Path, fg_threshold: float, bg_threshold: float) -> None:
        self.file = file
        self.paths: list[str] = []
        self.shapes: list[tuple[int, int, int]] = []
        self._lines: Iterator[tuple[int, str]] = iter(read_lines(file))
        self._line = 0
        foreground, background = [], []
        for head in self._lines:
            for overlap, window in self._image(*head):
                if overlap >= fg_threshold:
                    if window[1] < 1:
                        self._refuse(
                            f"a window of class {window[1]} overlaps by {overlap:g}",
                            "a class above 0 for a window that counts as foreground",
                        )
                    foreground.append(window)
                elif overlap < bg_threshold:
                    background.append((window[0], 0, *window[2:]))
        both = (np.array(rows, np.int64).reshape(-1, 6) for rows in (foreground, background))
        self.windows = Windows(*both)
        if not self.paths:
            raise DataError("lists no image", where=str(file), expected="'# 0' in its first line")

    def _image(self, line: int, head: str) -> Iterator[tuple[float, tuple[int, ...]]]:
        """Read an image's block: overlap and window of each of its windows."""
        self._line = line
        if not head.startswith("#"):
            self._refuse(f"'{head[:40]}' begins an image", "'# ' and the number of the image")
        number = len(self.paths)
        self.paths.append(self._next("the path of an image"))
        shape = tuple(self._whole(f"the {what} of an image") for what in SIZES)
        if min(shape) < 1:
            self._refuse(f"an image has the shape {shape}", "sizes of at least 1")
        self.shapes.append((shape[0], shape[1], shape[2]))
        for _ in range(self._whole("the number of windows")):
            words = self._next("a window").split()
            try:
                overlap = float(words[1])
                label, *box = (int(w) for w in (words[0], *words[2:]))
            except (ValueError, IndexError):
                label, overlap, box = 0, 0.0, []
            if len(box) != 4 or not math.isfinite(overlap) or abs(label) >= LARGEST:
                self._refuse(
                    f"'{' '.join(words)[:60]}' is not a window", "CLASS OVERLAP X1 Y1 X2 Y2"
                )
            x1, y1, x2, y2 = box
            if not (0 <= x1 <= x2 < shape[2] and 0 <= y1 <= y2 < shape[1]):
                self._refuse(
                    f"the window {x1} {y1} {x2} {y2} is not inside its image of {shape[1]} rows "
                    f"and {shape[2]} columns",
                    "0 <= X1 <= X2 < columns, 0 <= Y1 <= Y2 < rows",
                )
            yield overlap, (number, label, x1, y1, x2, y2)

    def _next(self, what: str) -> str:
        found = next(self._lines, None)
        if found is None:
            raise DataError(
                f"ends after line {self._line}", where=str(self.file), expected=f"{what} there"
            )
        self._line = found[0]
        return found[1]

    def _whole(self, what: str) -> int:
        text = self._next(what)
        if not text.isdecimal() or len(text) > 10 or int(text) >= LARGEST:
            self._refuse(f"'{text[:40]}' is not a whole number below 2147483648", what)
        return int(text)

    def _refuse(self, found: str, expected: str) -> None:
        raise DataError(found, where=f"{self.file}:{self._line}", expected=expected)


SIZES = ("channels", "height", "width")
LARGEST = 1 << 31  # 32 bits suffice for classes and pixels
