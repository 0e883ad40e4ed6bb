"""Read LevelDB's tables: sorted records in blocks, most of them compressed.

Source: LevelDB's doc/table_format.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from minidl.data.sources.leveldb.files import Entry, File, varint
from minidl.errors import DataError

FOOTER, MAGIC = 48, 0xDB4775248B80FB57
TRAILER = 5  # after each block: its compression, a checksum
PLAIN, SNAPPY, ZSTD = 0, 1, 2
KEYS_FREE, KEYS_RATIO = 1 << 20, 64  # bytes of a block's keys, beyond what any real one has
SNAPPY_RATIO = 22  # a copy of 64 bytes takes 3


def blocks(file: File) -> list[tuple[int, int]]:
    """(offset, size) of a table's blocks of records, in order."""
    if file.size < FOOTER:
        file.refuse(f"was cut short: it has {file.size} bytes")
    footer = file.read(file.size - FOOTER, FOOTER)
    if int.from_bytes(footer[-8:], "little") != MAGIC:
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


def entries(file: File, offset: int, size: int) -> list[Entry]:
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
        file.refuse("is compressed with Zstandard, which no LevelDB of Caffe's time used")
    file.damaged(f"the block at byte {offset:,} has the compression {kind}")


def _unsnap(file: File, offset: int, data: bytes) -> bytes:
    try:
        from cramjam import snappy
    except ImportError:
        raise DataError(
            "is compressed with Snappy, and cramjam, which expands it, is not installed",
            where=str(file.path),
            fix="pip install cramjam",
        ) from None
    claimed, _ = varint(data, 0)
    if claimed > SNAPPY_RATIO * len(data) + 64:
        raise ValueError
    try:
        return bytes(snappy.decompress_raw(data))
    except Exception:  # cramjam.DecompressionError
        file.damaged(f"the block at byte {offset:,} cannot be expanded")


def _parse(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) of a block, whose keys omit the prefix shared with the previous one."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if len(block) < 4 or end < 0:
        raise ValueError
    key, at, room = b"", 0, KEYS_FREE + KEYS_RATIO * len(block)
    while at < end:
        shared, at = varint(block, at)
        fresh, at = varint(block, at)
        size, at = varint(block, at)
        body = at + fresh
        if shared > len(key) or body + size > end:
            raise ValueError
        key = key[:shared] + block[at:body]
        at = body + size
        room -= len(key)
        if room < 0:  # a few bytes can repeat a long key
            raise ValueError
        yield key, block[body:at]
