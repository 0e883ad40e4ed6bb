"""LMDB folders of Caffe Datums, as convert_imageset and `minidl dataset` write them."""

from __future__ import annotations

import os
from pathlib import Path

from minidl.data.sources.btree import BTree
from minidl.data.sources.datums import Datums
from minidl.errors import DataError

FILE = "data.mdb"


class Lmdb(Datums):
    """The records of an LMDB folder.

    Errors: DataError if the folder is absent, empty, not an LMDB or damaged (see BTree), and
    for a record that is not a Datum.
    """

    def __init__(self, folder: Path, color: bool | None = None, upright: bool = True) -> None:
        check(folder)
        super().__init__(folder, BTree(folder / FILE), color, upright)


def is_lmdb(folder: Path) -> bool:
    return os.path.isfile(folder / FILE)  # unlike Path's, False for a name no system accepts


def check(folder: Path) -> None:
    """Refuse a folder that is not an LMDB, saying what it is instead and what to do."""
    if is_lmdb(folder):
        return
    if not os.path.exists(folder):
        raise absent(folder)
    found = "is a file" if os.path.isfile(folder) else f"is a folder without {FILE} or CURRENT"
    if folder.name == FILE:
        raise DataError(
            found,
            where=str(folder),
            expected="the folder that contains it",
            fix=f'source: "{folder.parent}"',
        )
    raise DataError(
        found,
        where=str(folder),
        expected="an LMDB (a folder with data.mdb) or a LevelDB (one with CURRENT)",
    )


def absent(folder: Path) -> DataError:
    """Return the error for a missing data set, naming the command that gets it."""
    where = str(folder) if folder.is_absolute() else f"{folder} (below {Path.cwd()})"
    name, text = "", str(folder).lower()
    if "mnist" in text:
        name = "fashion-mnist" if "fashion" in text else "mnist"
    elif "digits" in text:
        name = "digits"
    if not name:
        return DataError(
            "there is no such data set",
            where=where,
            fix="make it with convert_imageset -backend lmdb, or correct `source`; "
            "a relative path starts from the current folder",
        )
    ours = Path("data", name, "test_lmdb" if "test" in folder.name else "train_lmdb")
    fix = f"run: minidl dataset {name}"
    if folder != ours:
        fix += f', then set source: "{ours}"'
    return DataError("there is no such data set", where=where, fix=fix)
