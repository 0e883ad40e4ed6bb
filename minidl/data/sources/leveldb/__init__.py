"""LevelDB folders of Caffe Datums, as convert_imageset -backend leveldb wrote them."""

from __future__ import annotations

import os
from pathlib import Path

from minidl.data.sources import lmdb
from minidl.data.sources.btree import BTree
from minidl.data.sources.datums import Datums, Store
from minidl.data.sources.leveldb.store import LevelDbStore


class LevelDb(Datums):
    """The records of a LevelDB folder, in the order of their keys.

    Errors: DataError if the store is damaged, incomplete or empty, for a record that is not a
    Datum, and if its tables are compressed (they usually are) and cramjam is not installed.
    """

    def __init__(self, folder: Path, color: bool | None = None, upright: bool = True) -> None:
        super().__init__(folder, LevelDbStore(folder), color, upright)


def open_store(folder: Path, color: bool | None = None, upright: bool = True) -> Datums:
    """Open the LMDB or LevelDB in a folder, by its contents.

    Errors: DataError, also for a folder that holds neither or does not exist.
    """
    if holds_one(folder):
        return LevelDb(folder, color, upright)
    return lmdb.Lmdb(folder, color, upright)


def raw(folder: Path, index: Path | None = None) -> Store:
    """The keys and values of the LMDB or LevelDB in a folder. Errors: as of `open_store`.

    index   of a LevelDB, with which it is opened at once: see LevelDbStore
    """
    if holds_one(folder):
        return LevelDbStore(folder, index)
    lmdb.check(folder)
    return BTree(folder / lmdb.FILE)


def holds_one(folder: Path) -> bool:
    """Return whether a folder holds a LevelDB, and no LMDB."""
    return os.path.isfile(folder / "CURRENT") and not lmdb.is_lmdb(folder)
