"""Read LevelDB's two kinds of files, logs and tables; every offset is checked before use.

Source: LevelDB's own descriptions, doc/log_format.md, doc/table_format.md, and db/write_batch.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from minidl.errors import DataError

VALUE, DELETION = 1, 0

LOG_BLOCK = 32768  # records of a log do not cross such blocks: they come in fragments
FRAGMENT = struct.Struct("<IHB")  # checksum, length, kind
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4

FOOTER, TABLE_MAGIC = 48, 0xDB4775248B80FB57
TRAILER = 5  # after each block of a table: its compression, a checksum
PLAIN, SNAPPY, ZSTD = 0, 1, 2
SNAPPY_RATIO = 22  # a copy of 64 bytes takes 3


class Entry(NamedTuple):
    """A key with what happened to it: `tag` is the number of the write, above VALUE or DELETION."""

    key: bytes
    tag: int
    value: bytes


class File:
    """One file of a store, opened for each read: a large store has more files than may be open."""

    def __init__(self, path: Path, size: int | None = None) -> None:
        self.path = path
        try:
            self.size = path.stat().st_size
        except OSError:
            self.refuse("is missing: the store was not copied whole")
        if size is not None and self.size != size:
            self.refuse(f"was cut short: it has {self.size:,} of {size:,} bytes")

    def read(self, offset: int, size: int) -> bytes:
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(size) or b""
                while len(data) < size and (more := file.read(size - len(data))):
                    data += more  # the system reads at most 2 GiB at once
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=str(self.path)) from None
        if len(data) < size:
            self.refuse(f"was cut short: there is nothing at byte {offset + len(data):,}")
        return data

    def damaged(self, what: str) -> NoReturn:
        self.refuse(f"is damaged: {what}")

    def refuse(self, found: str) -> NoReturn:
        fix = "make the data set again, or copy it again from where it came"
        raise DataError(found, where=str(self.path), fix=fix)


# ---------------------------------------------------------------------- logs


def log_records(file: File, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the records of a log from `start`, where one has to begin."""
    pieces: list[bytes] = []
    begun = at = start
    while at < file.size:
        here = at - at % LOG_BLOCK
        block = file.read(at, min(here + LOG_BLOCK, file.size) - at)
        offset = 0
        while len(block) - offset >= FRAGMENT.size:
            _, size, kind = FRAGMENT.unpack_from(block, offset)
            body = offset + FRAGMENT.size
            if kind == 0 and size == 0:
                break  # space that was set aside and never written
            if body + size > len(block):
                file.refuse(f"was cut short, or is damaged, at byte {at + offset:,}")
            if kind not in (WHOLE, FIRST, MIDDLE, LAST) or (kind in (MIDDLE, LAST)) != bool(pieces):
                file.damaged(f"a fragment of kind {kind} at byte {at + offset:,}")
            if kind in (WHOLE, FIRST):
                begun = at + offset
            pieces.append(block[body : body + size])
            if kind in (WHOLE, LAST):
                yield begun, b"".join(pieces)
                pieces = []
            offset = body + size
        at = here + LOG_BLOCK
    if pieces:
        file.refuse("was cut short: its last record has no end")


def batch(file: File, offset: int, record: bytes) -> list[Entry]:
    """What one record of a store's log wrote: several keys at once."""
    entries: list[Entry] = []
    try:
        number, count = struct.unpack_from("<QI", record)
        at = 12
        for i in range(count):
            kind = record[at]
            key, at = sized(record, at + 1)
            value = b""
            if kind == VALUE:
                value, at = sized(record, at)
            elif kind != DELETION:
                raise ValueError
            entries.append(Entry(key, number + i << 8 | kind, value))
        if at != len(record):
            raise ValueError
    except (ValueError, IndexError, struct.error):
        file.damaged(f"the record at byte {offset:,} does not add up")
    return entries


# ---------------------------------------------------------------------- tables


def table_blocks(file: File) -> list[tuple[int, int]]:
    """(offset, size) of a table's blocks of records, in order."""
    if file.size < FOOTER:
        file.refuse(f"was cut short: it has {file.size} bytes")
    footer = file.read(file.size - FOOTER, FOOTER)
    if int.from_bytes(footer[-8:], "little") != TABLE_MAGIC:
        file.damaged("its last bytes are not those of a LevelDB table")
    try:
        at = 0
        for _ in range(2):
            _, at = varint(footer, at)  # the block of filters, which only single reads need
        offset, at = varint(footer, at)
        size, at = varint(footer, at)
        return [
            (varint(value, 0)[0], varint(value, varint(value, 0)[1])[0])
            for _, value in _parse(_block(file, offset, size))
        ]
    except (ValueError, IndexError):
        file.damaged("its index does not add up")


def table_entries(file: File, offset: int, size: int) -> list[Entry]:
    """The records of one block of a table."""
    try:
        found = list(_parse(_block(file, offset, size)))
        if any(len(key) < 8 for key, _ in found):
            raise ValueError
    except (ValueError, IndexError):
        file.damaged(f"the block at byte {offset:,} does not add up")
    return [Entry(key[:-8], int.from_bytes(key[-8:], "little"), value) for key, value in found]


def _block(file: File, offset: int, size: int) -> bytes:
    """The bytes of a block, uncompressed."""
    if offset + size + TRAILER > file.size:
        file.damaged(f"it points to byte {offset + size:,} of {file.size:,}")
    data = file.read(offset, size + 1)
    kind, data = data[-1], data[:-1]
    if kind == PLAIN:
        return data
    if kind == SNAPPY:
        return _unsnap(file, offset, data)
    if kind == ZSTD:
        file.refuse("is compressed by Zstandard, which no LevelDB of Caffe's time did")
    file.damaged(f"the block at byte {offset:,} has the compression {kind}")


def _unsnap(file: File, offset: int, data: bytes) -> bytes:
    try:
        from cramjam import snappy
    except ImportError:
        raise DataError(
            "is compressed by Snappy, and cramjam, which expands it, is not installed",
            where=str(file.path),
            fix="pip install 'minidl[leveldb]'",
        ) from None
    claimed, _ = varint(data, 0)
    if claimed > SNAPPY_RATIO * len(data) + 64:
        raise ValueError
    try:
        return bytes(snappy.decompress_raw(data))
    except Exception:  # cramjam.DecompressionError
        file.damaged(f"the block at byte {offset:,} cannot be expanded")


def _parse(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a block, whose keys leave out what they share with the one before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if len(block) < 4 or end < 0:
        raise ValueError
    key, at = b"", 0
    while at < end:
        shared, at = varint(block, at)
        fresh, at = varint(block, at)
        size, at = varint(block, at)
        body = at + fresh
        if shared > len(key) or body + size > end:
            raise ValueError
        key = key[:shared] + block[at:body]
        at = body + size
        yield key, block[body:at]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, position after it). Errors: IndexError, ValueError."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = 0
    for i in range(10):
        byte = data[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError


def sized(data: bytes, at: int) -> tuple[bytes, int]:
    """A string with its length before it."""
    size, at = varint(data, at)
    if at + size > len(data):
        raise ValueError
    return data[at : at + size], at + size
