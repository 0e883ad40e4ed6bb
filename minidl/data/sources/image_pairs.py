"""Text files that list images and, next to each, the image of its pixels' labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minidl.data.sources import Sample, image
from minidl.data.sources.image_list import MOST_ERRORS, read_lines
from minidl.errors import DataError, placed_at, raise_all

Size = tuple[int, int]  # height and width


class Pairs:
    """The lines of a text file that hold two paths each, the first of which is an image's."""

    def __init__(self, file: Path) -> None:
        self.file, self.pairs = file, read_pairs(file)

    def __len__(self) -> int:
        return len(self.pairs)

    def describe(self, number: int, key: str = "") -> str:
        line, path, _ = self.pairs[number]
        return f"'{path}', line {line} of {self.file}"

    def close(self) -> None:
        """Do nothing: no file stays open."""


class ImagePairs(Pairs):
    """The images that a text file names, as ``street.png street_labels.png``, two paths a line.

    file      the text file; paths have no blanks, empty lines are skipped
    roots     put before the paths of images and of label images, as they are
    color     True for 3 channels (blue, green, red), False for 1
    size      what label images are stretched to, by taking the pixel whose place is the new one's,
              rounded down, as OpenCV's INTER_NEAREST does; None: they are as large as their images
    upright   turn both as their EXIF orientation says

    A label is an image (1, H, W), read as grey. Errors: as for ImageList.
    """

    decoded = True

    def __init__(
        self, file: Path, roots: tuple[str, str], color: bool, size: Size | None, upright: bool
    ) -> None:
        super().__init__(file)
        self.roots, self.color, self.size, self.upright = roots, color, size, upright

    def __getitem__(self, number: int) -> Sample:
        line, *paths = self.pairs[number]
        where = f"{self.file}:{line}"
        with placed_at(where):
            data, labels = (
                image.decode(image.read(root + path, where), color, self.upright)
                for root, path, color in zip(self.roots, paths, (self.color, False), strict=True)
            )
        if self.size is not None:
            labels = nearest(labels, self.size)
        elif labels.shape[1:] != data.shape[1:]:
            raise DataError(
                f"'{paths[0]}' has {_size(data)} pixels, "
                f"but its labels '{paths[1]}' {_size(labels)}",
                where=where,
                expected="a label for each pixel",
            )
        return Sample(paths[0], data, labels)


def read_pairs(file: Path) -> list[tuple[int, str, str]]:
    """The number of each line, counted from 1, and the two paths in it.

    Errors: DataError for a list that is absent or without lines, and for all lines that do not fit.
    """
    pairs: list[tuple[int, str, str]] = []
    errors: list[DataError] = []
    for number, line in read_lines(file):
        paths = line.split()
        if len(paths) == 2:
            pairs.append((number, paths[0], paths[1]))
        elif len(errors) < MOST_ERRORS:
            errors.append(
                DataError(
                    f"has {len(paths)} words",
                    where=f"{file}:{number}",
                    expected="the paths of an image and of its labels, without blanks in them",
                )
            )
    raise_all(errors)
    if not pairs:
        raise DataError("lists no image", where=str(file), expected="lines such as 'a.png b.png'")
    return pairs


def nearest(labels: np.ndarray, size: Size) -> np.ndarray:
    """Resize a label image (1, H, W) without making labels that it does not have."""
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(size, labels.shape[1:], strict=True)
    )
    return labels[:, rows[:, None], columns]


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[2]}"
