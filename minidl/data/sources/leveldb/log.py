"""Read LevelDB's logs: of writes, and of changes to the list of files.

Source: LevelDB's doc/log_format.md and db/write_batch.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from minidl.data.sources.leveldb.files import DELETION, VALUE, Entry, File, sized

BLOCK = 32768  # records do not cross such blocks: they come in fragments
FRAGMENT = struct.Struct("<IHB")  # checksum, length, kind
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(file: File, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of the records of a log from `start`, where one must begin."""
    pieces: list[bytes] = []
    begun = at = start
    while at < file.size:
        here = at - at % BLOCK
        block = file.read(at, min(here + BLOCK, file.size) - at)
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
        at = here + BLOCK
    if pieces:
        file.refuse("was cut short: its last record has no end")


def batch(file: File, offset: int, record: bytes) -> list[Entry]:
    """Return the writes of one record of a store's log: several keys at once."""
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
