"""Protobuf's wire format, walked over in place.

protobuf itself would turn every packed float into a Python object on its way to NumPy. Here a
message stays bytes: `Reader.fields` tells where each field is, and arrays are views of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, NoReturn

import numpy as np

from minidl.errors import FormatError
from minidl.storage import sniff

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 (groups) Caffe never used

# Real nets have a few thousand. The bound keeps a damaged or hostile file from taking minutes and
# gigabytes of small objects; see tests/storage/test_wire.py for what it costs to reach it.
MOST_FIELDS = 1 << 18


class Field(NamedTuple):
    """One field: for VARINT `start` is the value, otherwise the payload is data[start:end].

    Neighbouring FIXED32 or FIXED64 fields of one number come as one field, tags included: a
    repeated number that was not packed. `Reader.numbers` takes them apart.
    """

    number: int
    kind: int
    start: int
    end: int


class Reader:
    """The bytes of one message file, and the errors for what is wrong in it.

    data    uint8 array of the whole file
    path    its name, for messages
    what    what it should be: "caffemodel"
    """

    def __init__(self, data: np.ndarray, path: str, what: str) -> None:
        self.array, self.path, self.what = data, path, what
        self.data = data.data if data.size else memoryview(b"")
        self.fields_left = MOST_FIELDS

    def fields(self, start: int = 0, end: int | None = None, within: str = "") -> Iterator[Field]:
        """Yield the fields of the message data[start:end]; `within` names it ("layer 'conv1'")."""
        end = len(self.data) if end is None else end
        while start < end:
            tag_at = start
            tag, start = self.varint(start, end, within)
            number, kind = tag >> 3, tag & 7
            self.fields_left -= 1
            if self.fields_left < 0:
                self.fail(tag_at, within, f"more than {MOST_FIELDS:,} fields")
            if number == 0:
                self.fail(tag_at, within, "a field of number 0")
            if kind == VARINT:
                value, start = self.varint(start, end, within)
                yield Field(number, kind, value, start)
                continue
            if kind == BYTES:
                size, start = self.varint(start, end, within)
            elif kind in (FIXED32, FIXED64):
                size = 4 if kind == FIXED32 else 8
                if number < 16:
                    size += self._run(tag, start + size, end, size + 1)
            else:
                self.fail(tag_at, within, f"field {number} has the wire type {kind}")
            if size > end - start:
                self.fail(
                    tag_at,
                    within,
                    f"field {number} declares {size:,} bytes, but only {end - start:,} are left",
                )
            yield Field(number, kind, start, start + size)
            start += size

    def _run(self, tag: int, start: int, end: int, stride: int) -> int:
        """Return the bytes of further fields with the same one-byte tag, one every `stride` bytes.

        The search grows its window, so that short runs cost little and long ones need no loop.
        """
        begin, window = start, 16
        while (window := min(window * 4, (end - start) // stride)) > 0:
            differs = self.array[start : start + window * stride : stride] != tag
            if differs.any():
                return start + int(differs.argmax()) * stride - begin
            start += window * stride
        return start - begin

    def varint(self, start: int, end: int, within: str = "") -> tuple[int, int]:
        """(value, position after it)."""
        value = shift = 0
        for at in range(start, min(start + 10, end)):
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at + 1
            shift += 7
        self.fail(start, within, "a number that is cut off" if end - start < 10 else "no number")

    def numbers(self, field: Field, dtype: str, within: str = "") -> np.ndarray:
        """The array in a packed (BYTES) or unpacked (FIXED32, FIXED64) field, as a view or a copy.

        dtype    "<f4" or "<f8"
        """
        raw, size = self.array[field.start : field.end], np.dtype(dtype).itemsize
        if field.kind == BYTES:
            if raw.size % size:
                self.fail(field.start, within, f"{raw.size:,} bytes of {size}-byte numbers")
            return np.frombuffer(raw.data if raw.size else b"", dtype)
        if field.kind != (FIXED32 if size == 4 else FIXED64):
            self.fail(field.start, within, f"field {field.number} has the wire type {field.kind}")
        runs = np.append(raw, np.uint8(0)).reshape(-1, size + 1)  # value, then the next one's tag
        return np.ascontiguousarray(runs[:, :size]).view(dtype).reshape(-1)

    def text(self, field: Field, within: str = "") -> str:
        """Return a string field; bytes that are not UTF-8 become U+FFFD."""
        self.expect(field, BYTES, within)
        return bytes(self.data[field.start : field.end]).decode("utf-8", "replace")

    def integer(self, field: Field, within: str = "") -> int:
        """An int32 or int64 field, negative ones included."""
        self.expect(field, VARINT, within)
        return field.start - (1 << 64) if field.start >> 63 else field.start

    def expect(self, field: Field, kind: int, within: str = "") -> None:
        """Refuse a field of another wire type."""
        if field.kind != kind:
            at = field.end if field.kind == VARINT else field.start
            self.fail(at, within, f"field {field.number} has the wire type {field.kind}")

    def fail(self, at: int, within: str, found: str) -> NoReturn:
        """Refuse the file: what was found, where, and what the file seems to be instead."""
        start = bytes(self.data[:512])
        kind, other = sniff.guess(start), sniff.message(start)
        if not kind and other not in ("", self.what) and self.what in sniff.MESSAGES:
            kind = f"a {other}"
        if kind:
            found = f"is {kind}"
        else:
            inside = f" in {within}" if within else ""
            found = f"is damaged at byte {at:,} of {len(self.data):,}{inside}: {found}"
        raise FormatError(
            found,
            where=self.path,
            expected=f"a {self.what}",
            fix="" if kind else "copy or download the file again",
        )


def field(number: int, payload: bytes) -> bytes:
    """A BYTES field: tag, length, payload."""
    return head(number, len(payload)) + payload


def head(number: int, size: int) -> bytes:
    """Tag and length of a BYTES field whose payload of `size` bytes is to follow."""
    return varint(number << 3 | BYTES) + varint(size)


def varint(value: int) -> bytes:
    """
    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
