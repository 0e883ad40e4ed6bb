"""The live files of a LevelDB: its manifest, a log of changes to the list of tables.

Source: LevelDB's doc/impl.md and db/version_edit.cc.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from minidl.data.sources.leveldb import log
from minidl.data.sources.leveldb.files import File, sized, varint
from minidl.errors import DataError

ORDER = b"leveldb.BytewiseComparator"
LEVELS = 7
# What a change can say, by its number in the file.
COMPARATOR, LOG, NEXT_FILE, LAST_WRITE, POINTER, DELETED, ADDED, BEFORE = 1, 2, 3, 4, 5, 6, 7, 9


class Table(NamedTuple):
    """A table that counts. Those of level 0 may overlap, those of any other level do not."""

    level: int
    smallest: bytes  # key
    file: File


def live(folder: Path) -> tuple[list[Table], list[File]]:
    """The tables in the order of making, and the logs whose writes are in no table yet.

    Errors: DataError for files that are missing, cut short or damaged.
    """
    manifest = File(folder / _current(folder))
    edits = _Edits(folder)
    for offset, record in log.records(manifest):
        try:
            edits.apply(record)
        except (ValueError, IndexError):
            manifest.damaged(f"the record at byte {offset:,} does not add up")
    tables = [
        Table(level, smallest, File(_table_path(folder, number), size))
        for number, (level, smallest, size) in sorted(edits.tables.items())
    ]
    found = [p for p in folder.iterdir() if re.fullmatch(r"\d+\.log", p.name)]
    logs = sorted((int(p.stem), p) for p in found)
    return tables, [File(p) for n, p in logs if n >= edits.oldest or n == edits.before]


def _current(folder: Path) -> str:
    current = File(folder / "CURRENT")
    name = current.read(0, min(current.size, 64)).decode("latin-1")
    if not re.fullmatch(r"MANIFEST-\d+\n", name):
        current.damaged("it does not name a manifest")
    return name.strip()


def _table_path(folder: Path, number: int) -> Path:
    older = folder / f"{number:06d}.sst"
    return older if older.is_file() else folder / f"{number:06d}.ldb"


class _Edits:
    """The sum of a manifest's changes.

    tables    {number of the file: (level, smallest key, bytes)}
    oldest    number of the first log that counts; `before`, 0 or that of one more
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[int, tuple[int, bytes, int]] = {}
        self.oldest = self.before = 0

    def apply(self, record: bytes) -> None:
        """One change. Errors: ValueError or IndexError for one that does not add up."""
        at = 0
        while at < len(record):
            what, at = varint(record, at)
            if what == COMPARATOR:
                name, at = sized(record, at)
                self._check_order(name)
            elif what == LOG:
                self.oldest, at = varint(record, at)
            elif what in (NEXT_FILE, LAST_WRITE):
                _, at = varint(record, at)
            elif what == POINTER:  # where the next compaction starts
                _, at = varint(record, at)
                _, at = sized(record, at)
            elif what == DELETED:
                _, at = varint(record, at)
                number, at = varint(record, at)
                self.tables.pop(number, None)
            elif what == ADDED:
                at = self._add(record, at)
            elif what == BEFORE:
                self.before, at = varint(record, at)
            else:
                raise ValueError

    def _add(self, record: bytes, at: int) -> int:
        level, at = varint(record, at)
        number, at = varint(record, at)
        size, at = varint(record, at)
        smallest, at = sized(record, at)
        _, at = sized(record, at)
        if level >= LEVELS:
            raise ValueError
        self.tables[number] = (level, smallest[:-8], size)
        return at

    def _check_order(self, name: bytes) -> None:
        if name != ORDER:
            raise DataError(
                f"is ordered by {name.decode('latin-1')}",
                where=str(self.folder),
                expected="LevelDB's own order of keys, as Caffe writes it",
            )
