"""Write arrays as an LMDB of Datums, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minidl.data.sources import datum
from minidl.errors import DataError
from minidl.storage import files, replaceable

AT_ONCE, BYTES_AT_ONCE = 1000, 1 << 25  # most of a transaction, which is held in memory
ROOM = 1 << 24  # bytes to begin with; doubled when they are full. On Windows all of it is reserved


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images[i], (C, H, W), and labels[i] under the key '%08d' % i, replacing an LMDB there.

    Errors: as of `Writer`.
    """
    with Writer(folder) as writer:
        for i, (image, label) in enumerate(zip(images, labels, strict=False)):
            writer.put(b"%08d" % i, datum.encode(image, int(label)))


class Writer:
    """An LMDB that appears when the block ends without an error, replacing one that is there.

        with Writer(Path("train_lmdb")) as writer:
            writer.put(b"00000000", value)

    A neighbouring folder is filled, synced to the disk and renamed: a reader finds the old data
    set, the new one, or none, but never a part of one. Errors: DataError; UsageError for a folder
    with anything besides an LMDB (`replaceable.folder_of_lmdb`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fresh = files.named(folder, f".{folder.name}.{os.getpid()}.new")
        self._waiting: list[tuple[bytes, bytes]] = []
        self._bytes = 0

    def __enter__(self) -> Writer:
        import lmdb

        replaceable.folder_of_lmdb(self.folder)
        with self._explained():
            shutil.rmtree(self._fresh, ignore_errors=True)
            self._fresh.mkdir(parents=True)
            self._env = lmdb.open(os.fsencode(self._fresh), map_size=ROOM, lock=False, sync=False)
        return self

    def put(self, key: bytes, value: bytes) -> None:
        """Add a record; keys come in ascending order."""
        self._waiting.append((key, value))
        self._bytes += len(value)
        if len(self._waiting) == AT_ONCE or self._bytes >= BYTES_AT_ONCE:
            self._store()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._store()
                with self._explained():
                    self._env.sync(True)
            self._env.close()
            if kind is None:
                with self._explained():
                    _replace(self._fresh, self.folder)
        finally:
            shutil.rmtree(self._fresh, ignore_errors=True)

    def _store(self) -> None:
        """Write the pending records, in one transaction."""
        import lmdb

        with self._explained():
            while True:
                try:
                    with self._env.begin(write=True) as transaction:
                        for key, value in self._waiting:
                            transaction.put(key, value, append=True)
                    break
                except lmdb.MapFullError:
                    self._env.set_mapsize(2 * self._env.info()["map_size"])
        self._waiting.clear()
        self._bytes = 0

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        import lmdb

        try:
            yield
        except (OSError, lmdb.Error) as error:
            raise DataError(f"cannot be written: {error}", where=str(self.folder)) from error


def _replace(fresh: Path, folder: Path) -> None:
    old = files.named(folder, f".{folder.name}.{os.getpid()}.old")
    replaceable.folder_of_lmdb(folder)  # check again: hours may have passed
    if folder.exists():
        folder.rename(old)
    try:
        fresh.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
    files.sync_folder(folder.parent)
