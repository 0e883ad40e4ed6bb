"""A LevelDB as a sequence of records: which files count, and in what order their keys come."""

from __future__ import annotations

import heapq
import logging
import re
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from minidl.data.sources import leveldb_files as files
from minidl.data.sources.leveldb_files import Entry, File, sized, varint
from minidl.errors import DataError

log = logging.getLogger("minidl")

COMPARATOR = b"leveldb.BytewiseComparator"
LEVELS = 7
CACHED = 8  # blocks: as many as levels that forward reading may alternate between
LARGE = 1 << 28  # bytes, from which on counting is announced

Found = tuple[bytes, int, int, int]  # key, minus its tag, block, entry of the block


class Block(NamedTuple):
    """Where records lie: a block of a table, or a batch of writes in a log (size -1)."""

    file: int
    offset: int
    size: int


class LevelDbStore:
    """The records of a LevelDB, by number, in the order of their keys.

        store[7] -> (key, value), two bytes objects

    A store is a folder of tables, which are sorted and never change, in levels; a log of what was
    written since the last table; and a manifest, a log of which files count. CURRENT names the
    manifest. Where a key is in several files, its latest write counts.

    LevelDB keeps no number of records and finds them by key only. So opening reads the whole store
    once, and keeps 8 bytes a record and 20 a block. Going forward then reads each block once.

    Why not LevelDB itself: it cannot open a store without changing it (it turns the log into a
    table and writes a new manifest), nor two programs at a time. Here nothing is written or locked.
    As in Caffe, which leaves LevelDB's default, checksums are not compared.

    Any number of threads may read. Errors: DataError, for whatever is wrong with the files.

    Source: LevelDB's doc/impl.md and db/version_edit.cc.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._files: list[File] = []
        self._blocks: list[Block] = []
        self._cache: OrderedDict[int, list[Entry]] = OrderedDict()
        self._at_block, self._at_entry = array("I"), array("I")
        tables, logs = self._live()
        size = sum(file.size for _, _, file in tables) + sum(file.size for file in logs)
        if size > LARGE:
            log.info("%s: counting its records, which reads all of its %d MB", folder, size >> 20)
        self._count(tables, logs)
        self._cache.clear()
        self._closed = False

    def __len__(self) -> int:
        return len(self._at_block)

    def __getitem__(self, number: int) -> tuple[bytes, bytes]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        with self._lock:
            if self._closed:
                raise DataError("cannot be read: it was closed", where=str(self.folder))
            entries = self._entries(self._at_block[number])
            if self._at_entry[number] >= len(entries):
                self._files[self._blocks[self._at_block[number]].file].damaged("it has changed")
            entry = entries[self._at_entry[number]]
            return entry.key, entry.value

    def close(self) -> None:
        self._closed = True
        self._cache.clear()

    # ------------------------------------------------------------------ which files count

    def _live(self) -> tuple[list[tuple[int, bytes, File]], list[File]]:
        """The tables as (level, smallest key, file), and the logs in the order of writing."""
        manifest = File(self.folder / self._manifest())
        tables: dict[int, tuple[int, bytes, int]] = {}
        oldest, before = 0, 0
        for offset, record in files.log_records(manifest):
            try:
                oldest, before = self._edit(record, tables, oldest, before)
            except (ValueError, IndexError):
                manifest.damaged(f"the record at byte {offset:,} does not add up")
        found = [
            (level, smallest, File(self._table_path(number), size))
            for number, (level, smallest, size) in sorted(tables.items())
        ]
        return found, [File(p) for n, p in self._logs() if n >= oldest or n == before]

    def _manifest(self) -> str:
        current = File(self.folder / "CURRENT")
        name = current.read(0, min(current.size, 64)).decode("latin-1")
        if not re.fullmatch(r"MANIFEST-\d+\n", name):
            current.damaged("it does not name a manifest")
        return name.strip()

    def _logs(self) -> list[tuple[int, Path]]:
        names = [p for p in self.folder.iterdir() if re.fullmatch(r"\d+\.log", p.name)]
        return sorted((int(p.stem), p) for p in names)

    def _table_path(self, number: int) -> Path:
        older = self.folder / f"{number:06d}.sst"
        return older if older.is_file() else self.folder / f"{number:06d}.ldb"

    def _edit(
        self, record: bytes, tables: dict[int, tuple[int, bytes, int]], oldest: int, before: int
    ) -> tuple[int, int]:
        """Apply one record of the manifest; returns the numbers of the logs that count."""
        at = 0
        while at < len(record):
            tag, at = varint(record, at)
            if tag == 1:
                name, at = sized(record, at)
                if name != COMPARATOR:
                    raise DataError(
                        f"is ordered by {name.decode('latin-1')}",
                        where=str(self.folder),
                        expected="LevelDB's own order of keys, as Caffe writes it",
                    )
            elif tag == 2:
                oldest, at = varint(record, at)
            elif tag in (3, 4):  # numbers for the next file and the next write
                _, at = varint(record, at)
            elif tag == 5:  # where the next compaction starts
                _, at = varint(record, at)
                _, at = sized(record, at)
            elif tag == 6:
                _, at = varint(record, at)
                number, at = varint(record, at)
                tables.pop(number, None)
            elif tag == 7:
                level, at = varint(record, at)
                number, at = varint(record, at)
                size, at = varint(record, at)
                smallest, at = sized(record, at)
                _, at = sized(record, at)
                if level >= LEVELS:
                    raise ValueError
                tables[number] = (level, smallest[:-8], size)
            elif tag == 9:
                before, at = varint(record, at)
            else:
                raise ValueError
        return oldest, before

    # ------------------------------------------------------------------ the order of records

    def _count(self, tables: list[tuple[int, bytes, File]], logs: list[File]) -> None:
        """Note block and entry of every record that counts, in the order of keys."""
        levels: dict[tuple[int, int], list[tuple[bytes, File]]] = {}
        for i, (level, smallest, file) in enumerate(tables):
            alone = i if level == 0 else -1  # tables of level 0 may overlap
            levels.setdefault((level, alone), []).append((smallest, file))
        streams = [
            self._in_tables([file for _, file in sorted(run, key=lambda pair: pair[0])])
            for run in levels.values()
        ]
        streams += [self._in_log(file) for file in logs]
        last: bytes | None = None
        for key, tag, block, entry in heapq.merge(*streams):
            if key == last:
                continue  # an older write
            last = key
            if -tag & 0xFF == files.VALUE:
                self._at_block.append(block)
                self._at_entry.append(entry)

    def _in_tables(self, run: list[File]) -> Iterator[Found]:
        """What lies in tables that follow one another."""
        before: tuple[bytes, int] | None = None
        for file in run:
            self._files.append(file)
            index = len(self._files) - 1
            for offset, size in files.table_blocks(file):
                block = self._add(Block(index, offset, size))
                for i, entry in enumerate(self._entries(block)):
                    place = (entry.key, -entry.tag)
                    if before is not None and place <= before:
                        file.damaged(f"the keys in its block at byte {offset:,} are not in order")
                    before = place
                    yield *place, block, i

    def _in_log(self, file: File) -> Iterator[Found]:
        self._files.append(file)
        index, found = len(self._files) - 1, []
        for offset, record in files.log_records(file):
            block = self._add(Block(index, offset, -1))
            for i, entry in enumerate(files.batch(file, offset, record)):
                found.append((entry.key, -entry.tag, block, i))
        found.sort()
        return iter(found)

    def _add(self, block: Block) -> int:
        self._blocks.append(block)
        return len(self._blocks) - 1

    def _entries(self, number: int) -> list[Entry]:
        """The records of a block, from memory if it was among the last ones."""
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        block = self._blocks[number]
        file = self._files[block.file]
        if block.size >= 0:
            entries = files.table_entries(file, block.offset, block.size)
        else:
            record = next(files.log_records(file, block.offset), (0, b""))[1]
            entries = files.batch(file, block.offset, record)
        self._cache[number] = entries
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return entries
