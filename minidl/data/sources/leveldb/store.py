"""A LevelDB as a sequence of records: which files count, and the order of their keys."""

from __future__ import annotations

import heapq
import io
import logging
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidl.data.sources.leveldb import log as logs_of
from minidl.data.sources.leveldb import manifest, table
from minidl.data.sources.leveldb.files import VALUE, Entry, File
from minidl.errors import DataError
from minidl.storage import files

log = logging.getLogger("minidl")

CACHED = 8  # blocks: as many as levels that forward reading may alternate between
LARGE = 1 << 28  # bytes, from which on counting is announced

Found = tuple[bytes, int, int, int]  # key, minus its tag, block, entry of the block


class Block(NamedTuple):
    """Where records are: a block of a table, or a batch of writes in a log (size -1)."""

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
    once, and keeps 8 bytes a record and some hundreds a block. Going forward then reads each block
    once.

    Why not LevelDB itself: it cannot open a store without changing it (it turns the log into a
    table and writes a new manifest), nor two programs at a time. Here nothing is written or locked.
    As in Caffe, which leaves LevelDB's default, checksums are not compared.

    Any number of threads may read. Errors: DataError for anything wrong with the files.

    index   a file that `save_index` wrote: as long as the store has the files that it had then,
            opening reads none of them

    Source: LevelDB's doc/impl.md.
    """

    def __init__(self, folder: Path, index: Path | None = None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._files: list[File] = []
        self._blocks: list[Block] = []
        self._cache: OrderedDict[int, list[Entry]] = OrderedDict()
        self._at_block, self._at_entry = array("I"), array("I")
        self._closed = False
        tables, logs = manifest.live(folder)
        if index is not None and self._restore(index, [*(t.file for t in tables), *logs]):
            return
        size = sum(t.file.size for t in tables) + sum(file.size for file in logs)
        if size > LARGE:
            log.info("%s: counting its records, which reads all of its %d MB", folder, size >> 20)
        self._count(tables, logs)
        self._cache.clear()

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

    # ------------------------------------------------------------------ the index

    def save_index(self, path: Path) -> None:
        """Write down where each record is."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            at_block=np.array(self._at_block, np.uint32),
            at_entry=np.array(self._at_entry, np.uint32),
            blocks=np.array(self._blocks, np.int64).reshape(-1, 3),
            files=np.array([file.path.name for file in self._files]),
            sizes=np.array([file.size for file in self._files], np.int64),
        )
        files.write_all(path, [buffer.getvalue()], own=True)

    def _restore(self, path: Path, live: list[File]) -> bool:
        """Read an index; return False if there is none for the files that are there now."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
                names, sizes = found["files"].tolist(), found["sizes"].tolist()
                blocks, at_block = found["blocks"], found["at_block"]
                at_entry = found["at_entry"]
        except Exception:  # absent, or damaged, for which NumPy raises nearly anything
            return False
        now = {file.path.name: file for file in live}
        if dict(zip(names, sizes, strict=False)) != {n: file.size for n, file in now.items()}:
            return False
        if len(at_block) != len(at_entry) or (at_block >= len(blocks)).any():
            return False
        if ((blocks[:, 0] < 0) | (blocks[:, 0] >= len(names))).any():
            return False
        self._files = [now[name] for name in names]
        self._blocks = [Block(*map(int, block)) for block in blocks]
        self._at_block.frombytes(at_block.astype(np.uint32).tobytes())
        self._at_entry.frombytes(at_entry.astype(np.uint32).tobytes())
        return True

    # ------------------------------------------------------------------ the order of records

    def _count(self, tables: list[manifest.Table], logs: list[File]) -> None:
        """Note block and entry of every record that counts, in the order of keys."""
        levels: dict[tuple[int, int], list[manifest.Table]] = {}
        for i, one in enumerate(tables):
            alone = i if one.level == 0 else -1  # tables of level 0 may overlap
            levels.setdefault((one.level, alone), []).append(one)
        streams = [
            self._in_tables([t.file for t in sorted(run, key=lambda t: t.smallest)])
            for run in levels.values()
        ]
        streams += [self._in_log(file) for file in logs]
        last: bytes | None = None
        for key, tag, block, entry in heapq.merge(*streams):
            if key == last:
                continue  # an older write
            last = key
            if -tag & 0xFF == VALUE:
                self._at_block.append(block)
                self._at_entry.append(entry)

    def _in_tables(self, run: list[File]) -> Iterator[Found]:
        """Yield the entries of tables that follow one another."""
        before: tuple[bytes, int] | None = None
        for file in run:
            self._files.append(file)
            index = len(self._files) - 1
            for offset, size in table.blocks(file):
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
        for offset, record in logs_of.records(file):
            block = self._add(Block(index, offset, -1))
            for i, entry in enumerate(logs_of.batch(file, offset, record)):
                found.append((entry.key, -entry.tag, block, i))
        found.sort()
        return iter(found)

    def _add(self, block: Block) -> int:
        self._blocks.append(block)
        return len(self._blocks) - 1

    def _entries(self, number: int) -> list[Entry]:
        """Return the records of a block, from memory if it is among the latest ones."""
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        block = self._blocks[number]
        file = self._files[block.file]
        if block.size >= 0:
            entries = table.entries(file, block.offset, block.size)
        else:
            record = next(logs_of.records(file, block.offset), (0, b""))[1]
            entries = logs_of.batch(file, block.offset, record)
        self._cache[number] = entries
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return entries
