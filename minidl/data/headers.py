"""Sizes and channels of PNG and JPEG files by their first bytes, faster than by opening them.

A file that is not as most of them are is left to Pillow: `look` then returns None.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

BYTES = 1 << 12  # of a file that are enough for nearly all
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_HEAD = struct.Struct(">IIBB")  # width, height, bits, colour type; after these comes compression
_GREY_TYPES, _TYPES = (0, 4), (0, 2, 3, 4, 6)
MOST = 80_000_000  # pixels; Pillow refuses twice as many
# JPEG's markers: a frame that Pillow decodes (not arithmetic or lossless ones), and the first scan.
_FRAMES, _SCAN, _ALONE = (0xC0, 0xC1, 0xC2), 0xDA, range(0xD0, 0xD9)
_OTHER_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


class Header(NamedTuple):
    """Height and width of a picture, and whether it is grey."""

    height: int
    width: int
    grey: bool


def look(data: bytes) -> Header | None:
    """Return what the first bytes of a file say, None if only Pillow can tell."""
    try:
        if data.startswith(_PNG):
            return _png(data)
        return _jpeg(data) if data.startswith(b"\xff\xd8\xff") else None
    except (IndexError, struct.error):  # goes on after these bytes
        return None


def _png(data: bytes) -> Header | None:
    width, height, _, kind = _HEAD.unpack_from(data, len(_PNG))
    if kind not in _TYPES or not 0 < width * height <= MOST:
        return None
    place = 8
    while data[place + 4 : place + 8] != b"IDAT":
        if not data[place + 4 : place + 8].isalpha():
            return None
        place += 12 + struct.unpack_from(">I", data, place)[0]
    return Header(height, width, kind in _GREY_TYPES) if place + 8 <= len(data) else None


def _jpeg(data: bytes) -> Header | None:
    place, found = 2, None
    while True:
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker in _OTHER_FRAMES or marker in _ALONE or marker in (0xFF, 0x00, 0xD9):
            return None
        (length,) = struct.unpack_from(">H", data, place + 2)
        if length < 2 or place + 2 + length > len(data):
            return None
        if marker == _SCAN:
            return found
        if marker in _FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, place + 4)
            if found or bits != 8 or channels not in (1, 3) or not 0 < height * width <= MOST:
                return None
            found = Header(height, width, channels == 1)
        place += 2 + length
