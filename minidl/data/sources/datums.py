"""Stores of Caffe Datums: the parts common to LMDB and LevelDB."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minidl.data.sources import Sample, datum
from minidl.errors import DataError

log = logging.getLogger("minidl")


class Store(Protocol):
    """A sequence of (key, value), in the order of the keys, that any number of threads may read."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> tuple[bytes, bytes]: ...

    def close(self) -> None: ...


class Datums:
    """The records of a store, which hold a Datum each, in the order of their keys.

    folder  as given in the prototxt's `source`
    store   its contents
    color   for encoded images: True for 3 channels, False for 1, None for what the file has
    upright   turn them as their EXIF orientation says

    Errors: DataError for a store without records, and for a record that is not a Datum.
    """

    def __init__(self, folder: Path, store: Store, color: bool | None = None, upright: bool = True):
        self.folder, self.color, self.upright, self._warned = folder, color, upright, False
        self.decoded = False  # until an encoded one was seen
        self._store = store
        if not len(store):
            store.close()
            raise DataError(
                "has no records",
                where=str(folder),
                fix="the program that wrote it did not finish, or found nothing: make it again",
            )

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, number: int) -> Sample:
        raw_key, value = self._store[number]
        key = raw_key.decode("utf-8", "backslashreplace")
        try:
            return self.sample(key, value)
        except DataError as error:
            error.where = f"{self.folder}: record {number}, key '{key}'"
            raise

    def sample(self, key: str, value: bytes) -> Sample:
        """Return the record of these bytes. Errors: DataError, to which the place is added."""
        message = datum.parse(value)
        return Sample(key, self.image(message), message.label)

    def image(self, message: Any) -> np.ndarray:
        """The image in a Datum, (C, H, W)."""
        if self.color is not None and not message.encoded and not self._warned:
            self._warned = True
            log.warning(
                "%s: force_color and force_gray do nothing: the records are not encoded images",
                self.folder,
            )
        self.decoded |= message.encoded
        return datum.to_array(message, self.color, self.upright)

    def describe(self, number: int, key: str) -> str:
        return f"record {number}, key '{key}', of {self.folder}"

    def close(self) -> None:
        self._store.close()
