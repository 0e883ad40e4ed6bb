"""Files that store the contents of blobs, batch by batch: LMDB, npz, HDF5; whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minidl.errors import RunError, UsageError

KINDS = ("lmdb", "npz", "hdf5")
ROOM = 1 << 20  # bytes that an LMDB may take at first; it is doubled when it is full
PICTURES = "pictures"  # the array of their names
ENDINGS = {".npz": "npz", ".h5": "hdf5", ".hdf5": "hdf5"}


@contextlib.contextmanager
def writers(
    paths: Sequence[str], blobs: Sequence[str], kind: str | None
) -> Iterator[list[tuple[Any, str]]]:
    """Yield (file, blob) for each blob; the files appear when the block ends without an error.

    paths    one for each blob, or one npz or HDF5 file for all
    kind     of all files; None: by each file's ending
    """
    if kind is not None and kind.lower() not in KINDS:
        raise UsageError(
            f"cannot write '{kind}'",
            where="minidl extract_features",
            expected=" or ".join(KINDS),
            fix="lmdb, which Data layers read as well" if kind.lower() == "leveldb" else "",
        )
    kinds = [(kind or ENDINGS.get(Path(path).suffix.lower(), "lmdb")).lower() for path in paths]
    together = len(paths) == 1 and kinds[0] != "lmdb"
    if len(paths) != len(blobs) and not together:
        raise UsageError(
            f"has {len(blobs)} blobs and {len(paths)} files",
            where="minidl extract_features",
            expected="a file for each blob, or one .npz or .h5 for all",
        )
    if len(set(paths)) < len(paths) or len(set(blobs)) < len(blobs):
        raise UsageError("names a file or a blob twice", where="minidl extract_features")
    classes: dict[str, Any] = {"lmdb": Lmdb, "npz": Npz, "hdf5": Hdf5}
    files = [classes[k](Path(path)) for k, path in zip(kinds, paths, strict=True)]
    try:
        yield list(zip(files * len(blobs) if together else files, blobs, strict=True))
        for file in files:
            file.close()
    finally:
        for file in files:
            file.clean()


class Npz:
    """A file of arrays by name; everything is held in memory until the end."""

    def __init__(self, path: Path) -> None:
        from minidl.storage import files

        self.path = path
        self.arrays: dict[str, list[Any]] = {}
        self.names: list[str] = []
        files.check_target(path)

    def check(self, blob: str, shape: tuple[int, ...]) -> None:
        """Refuse a shape that the file cannot hold."""

    def name_items(self, names: Sequence[str]) -> None:
        """Record which item is whose: an array of text next to the others."""
        if PICTURES not in self.arrays:
            self.names = list(names)

    def add(self, blob: str, values: Any) -> None:
        """Append a batch."""
        self.arrays.setdefault(blob, []).append(values.copy())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what was added, by blob."""
        return {
            blob: (sum(len(part) for part in parts), *parts[0].shape[1:])
            for blob, parts in self.arrays.items()
        }

    def close(self) -> None:
        """Write the file."""
        import numpy as np

        from minidl.storage import files

        whole: dict[str, Any] = {blob: np.concatenate(parts) for blob, parts in self.arrays.items()}
        if self.names:
            whole[PICTURES] = np.array(self.names)
        with files.replacing(self.path) as file:
            np.savez(file, **whole)

    def clean(self) -> None:
        """Remove everything unfinished."""


class Hdf5(Npz):
    """The same in HDF5, as HDF5Data layers read it: a data set for each blob."""

    def close(self) -> None:
        import numpy as np

        from minidl.storage import hdf5

        with hdf5.writing(self.path) as file:
            for blob, parts in self.arrays.items():
                file.create_dataset(blob, data=np.concatenate(parts))
            if self.names:
                names = [name.encode("utf-8", "surrogateescape") for name in self.names]
                file.create_dataset(PICTURES, data=np.array(names))


class Lmdb:
    """Float Datums (C, H, W) under the keys 0000000000, 0000000001, ..., as Caffe's tool writes."""

    def __init__(self, path: Path) -> None:
        from minidl.storage import files

        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        if path.exists():
            raise UsageError(
                "exists already", where=str(path), fix="remove it, or write somewhere else"
            )
        self.fresh = files.named(path, f".{path.name}.{os.getpid()}.new")
        self.env: Any = None

    def check(self, blob: str, shape: tuple[int, ...]) -> None:
        if len(shape) > 4:
            raise UsageError(
                f"blob '{blob}' has the shape {shape}",
                where=str(self.path),
                expected="at most 4 axes, which a Datum has",
                fix="write .npz or .h5",
            )

    def name_items(self, names: Sequence[str]) -> None:
        """Do nothing: the keys are Caffe's, and the items in the order of the pictures."""

    def add(self, blob: str, values: Any) -> None:
        import lmdb

        from minidl.data.sources import datum

        done = self.shapes.get(blob, (0,))[0]
        images = values.reshape(len(values), *values.shape[1:], *[1] * (4 - values.ndim))
        records = [(b"%010d" % (done + i), datum.encode(x, 0)) for i, x in enumerate(images)]
        try:
            if self.env is None:
                shutil.rmtree(self.fresh, ignore_errors=True)
                self.fresh.mkdir(parents=True)
                self.env = lmdb.open(os.fsencode(self.fresh), map_size=ROOM, lock=False, sync=False)
            self._put(records)
        except (OSError, lmdb.Error) as error:
            raise RunError(f"cannot be written: {error}", where=str(self.path)) from error
        self.shapes[blob] = (done + len(values), *images.shape[1:])

    def _put(self, records: list[tuple[bytes, bytes]]) -> None:
        """Write a transaction, doubling the room until it fits."""
        import lmdb

        while True:
            try:
                with self.env.begin(write=True) as transaction:
                    for key, value in records:
                        transaction.put(key, value, append=True)
                return
            except lmdb.MapFullError:
                self.env.set_mapsize(2 * self.env.info()["map_size"])

    def close(self) -> None:
        self.env.sync(True)
        self.env.close()
        self.env = None
        self.fresh.rename(self.path)

    def clean(self) -> None:
        if self.env is not None:
            self.env.close()
            self.env = None
        shutil.rmtree(self.fresh, ignore_errors=True)
