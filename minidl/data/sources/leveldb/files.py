"""A file of a LevelDB, and the numbers and strings that its files consist of."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import NamedTuple, NoReturn

from minidl.errors import DataError

VALUE, DELETION = 1, 0
MOST_AT_ONCE = 1 << 30  # bytes of a block; a record has its own


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
            found = path.stat()
        except OSError:
            self.refuse("is missing: the store was not copied whole")
        if not stat.S_ISREG(found.st_mode):
            self.refuse("is not a regular file")
        self.size = found.st_size
        if size is not None and self.size != size:
            self.refuse(f"was cut short: it has {self.size:,} of {size:,} bytes")

    def read(self, offset: int, size: int) -> bytes:
        if size > MOST_AT_ONCE:
            self.damaged(f"it claims {size:,} bytes at byte {offset:,}")
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
        fix = "make the data set again, or copy it again from its origin"
        raise DataError(found, where=str(self.path), fix=fix)


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
