"""Pictures of records as small PNGs, from wherever the records come."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import browsing
from minidl.data.sources import image as image_files
from minidl.data.sources import leveldb
from minidl.data.sources.annotated import AnnotatedDatums
from minidl.data.sources.hdf5 import Hdf5Rows
from minidl.errors import DataError, MinidlError, UsageError
from minidl.evaluation.sources import Origin, name_of
from minidl.storage import files

SIDE = 96  # of a small picture, at most
IGNORED = 255  # class of pixels that do not count


def png(pixels: np.ndarray, side: int | None = None) -> str:
    """Return bytes (C, H, W), blue first, as a PNG in base64, no side longer than `side`; floats
    from the least to the greatest of them.

    Errors: UsageError without Pillow.
    """
    return _text(browsing.png(pixels, side))


def png_of_classes(classes: np.ndarray, side: int | None = None) -> str:
    """Return a map of classes (1, H, W) as a PNG in base64, in PASCAL VOC's colours; 255 is white.

    Errors: as of `png`.
    """
    return _text(browsing.png_of_classes(classes, side, IGNORED))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Return pixels from 0 to 255 as bytes, rounded; what is beyond is cut."""
    if values.dtype == np.uint8:
        return values
    return np.rint(np.nan_to_num(values.clip(0, 255))).astype(np.uint8)


class Finder:
    """Finds the pictures of records again.

        with Finder(origin) as find:
            pixels = find(17, "cat.jpg")

    `find` gives uint8 (C, H, W), blue first, of HDF5 files float32, and raises a MinidlError where
    there is none.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._close: Callable[[], object] = lambda: None
        if origin.kind != "files":
            self._store = self._opened()
            self._close = self._store.close

    def __call__(self, number: int, name: str) -> np.ndarray:
        if self._origin.kind == "files":
            path = Path(self._origin.path, name)
            return image_files.decode(files.read(path, "image").tobytes(), True)
        if self._origin.kind == "hdf5":
            return self._row(number)
        sample = self._store[number] if number < len(self._store) else None
        if sample is None or name_of(sample.key, number) != name:
            raise DataError(
                f"has another record {number} than when it was evaluated",
                where=self._origin.path,
                fix="evaluate again",
            )
        return to_bytes(sample.image)

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _opened(self) -> Any:
        path, kind = Path(self._origin.path), self._origin.kind
        if kind == "store":
            return leveldb.open_store(path)
        if kind == "boxes":
            return AnnotatedDatums(path, labels=False)
        if kind == "hdf5":
            return Hdf5Rows(path, [self._origin.name])
        raise UsageError("nothing says where its records are", expected="store, boxes, hdf5, files")

    def _row(self, number: int) -> np.ndarray:
        """Return a row of HDF5 files, (C, H, W), as it is."""
        if number >= len(self._store):
            raise DataError(f"has no row {number}", where=self._origin.path)
        row = np.empty((1, *self._store.shapes[0]), np.float32)
        self._store.read([number], [row])
        return browsing.as_picture(row[0])


def found(origin: Origin, places: list[tuple[int, str]]) -> list[np.ndarray | str]:
    """Return the picture of each record (its number and its name), or a sentence on why there is
    none."""
    result: list[np.ndarray | str] = []
    try:
        with Finder(origin) as find:
            for number, name in places:
                try:
                    result.append(find(number, name))
                except MinidlError as error:
                    result.append(str(error).splitlines()[0])
    except MinidlError as error:
        return [str(error).splitlines()[0]] * len(places)
    return result
