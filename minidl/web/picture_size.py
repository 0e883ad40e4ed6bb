"""How large a picture is, read from the first bytes of its file; nothing is decoded."""

from __future__ import annotations

import re
import struct

PNG, GIF, BMP = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), b"BM"
PNM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})\s")
NEEDED = 1 << 18  # bytes in which a picture says its size: a JPEG has its previews before


def size(head: bytes) -> tuple[int, int] | None:
    """Return (width, height) of a PNG, JPEG, GIF, BMP, WebP or PNM file; None for any other."""
    try:
        if head.startswith(PNG) and head[12:16] == b"IHDR":
            return struct.unpack(">II", head[16:24])
        if head.startswith(GIF):
            return struct.unpack("<HH", head[6:10])
        if head.startswith(BMP):
            width, height = struct.unpack("<ii", head[18:26])
            return abs(width), abs(height)
        if head.startswith(b"\xff\xd8"):
            return _jpeg(head)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
    except struct.error:
        return None
    match = PNM.match(head)
    return (int(match[1]), int(match[2])) if match else None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Go from segment to segment to the one with the frame's size."""
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            return None
        kind = head[at + 1]
        if kind == 0xFF:
            at += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        length = struct.unpack(">H", head[at + 2 : at + 4])[0]
        if length < 2:
            return None
        at += 2 + length
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        wide, high = head[24:27], head[27:30]
        if len(high) == 3:
            return 1 + int.from_bytes(wide, "little"), 1 + int.from_bytes(high, "little")
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and head[20:21] == b"\x2f":
        bits = struct.unpack("<I", head[21:25])[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
