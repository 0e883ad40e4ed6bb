"""LMDB folders of Caffe Datums, as convert_imageset and `minidl dataset` write them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from minidl.data.sources import Sample, datum
from minidl.data.sources.btree import BTree
from minidl.errors import DataError

log = logging.getLogger("minidl")
FILE = "data.mdb"


class Lmdb:
    """The records of an LMDB folder, in the order of their keys.

    folder  as the prototxt's `source` says it
    color   for encoded images: True for 3 channels, False for 1, None for what the file has

    Errors: DataError if the folder is absent, empty, not an LMDB or damaged (BTree says how), and
    for a record that is not a Datum.
    """

    def __init__(self, folder: Path, color: bool | None = None) -> None:
        self.folder, self.color, self._warned = folder, color, False
        check(folder)
        self._tree = BTree(folder / FILE)
        if not len(self._tree):
            self._tree.close()
            raise DataError(
                "has no records",
                where=str(folder),
                fix="whatever wrote it did not finish, or found nothing: make it again",
            )

    def __len__(self) -> int:
        return len(self._tree)

    def __getitem__(self, number: int) -> Sample:
        raw_key, value = self._tree[number]
        key = raw_key.decode("utf-8", "backslashreplace")
        try:
            message = datum.parse(value)
            if self.color is not None and not message.encoded and not self._warned:
                self._warned = True
                log.warning(
                    "%s: force_color and force_gray do nothing: the records are not encoded images",
                    self.folder,
                )
            return Sample(key, datum.to_array(message, self.color), message.label)
        except DataError as error:
            error.where = f"{self.folder}: record {number}, key '{key}'"
            raise

    def describe(self, number: int, key: str) -> str:
        return f"record {number}, key '{key}', of {self.folder}"

    def close(self) -> None:
        self._tree.close()


def is_lmdb(folder: Path) -> bool:
    return os.path.isfile(folder / FILE)  # unlike Path's, False for a name no system accepts


def is_leveldb(folder: Path) -> bool:
    return os.path.isfile(folder / "CURRENT")


def check(folder: Path) -> None:
    """Refuse what is not an LMDB folder, saying what it is instead and what to do."""
    if is_lmdb(folder):
        return
    if is_leveldb(folder):
        raise DataError(
            "is a LevelDB",
            where=str(folder),
            expected="an LMDB (a folder with data.mdb)",
            fix="make it again as LMDB: convert_imageset -backend lmdb",
        )
    if not os.path.exists(folder):
        raise absent(folder)
    found = "is a file" if os.path.isfile(folder) else f"is a folder without {FILE}"
    if folder.name == FILE:
        raise DataError(
            found,
            where=str(folder),
            expected="the folder that it lies in",
            fix=f'source: "{folder.parent}"',
        )
    raise DataError(found, where=str(folder), expected="an LMDB (a folder with data.mdb)")


def absent(folder: Path) -> DataError:
    """The error for a data set that is not there, naming the command that gets it."""
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
