"""Guess what a file that cannot be read really is."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

WEB_PAGE = "a web page, not the file itself"
POINTER = "a Git LFS pointer, not the file itself"
TEXT = "a text file (a prototxt?)"
_KINDS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive (an .npz file?)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"404: Not Found", "a server's answer that there is no such file: 404"),
    (b"version https://git-lfs", POINTER),
    (b"<?xml", "an XML file"),
    (b"<svg", "a drawing in SVG"),
    (b"%PDF", "a PDF file"),
)
_HTML = re.compile(rb"<(!doctype html|html|head|body|title|meta|script)\b", re.IGNORECASE)


def is_hdf5(head: bytes) -> bool:
    """Return whether these first bytes are those of an HDF5 file."""
    return head.startswith(_KINDS[0][0])


def is_safetensors(head: bytes) -> bool:
    """Return whether these first bytes are a safetensors file's: the header's length, then it."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def guess(head: bytes) -> str:
    """Guess the kind of a file from these first bytes; '' if unknown.

    >>> guess(b'name: "LeNet"')
    'a text file (a prototxt?)'
    >>> guess(bytes([8, 5]))
    ''
    """
    if not head:
        return "empty"
    if not any(head):
        return "nothing but zeros at its beginning"
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin.startswith(b"<") and _HTML.search(begin):
        return WEB_PAGE
    if head[4:8] == b"ftyp":
        return "a video, or a picture in HEIC or AVIF"
    for magic, kind in _KINDS:
        if begin[: len(magic)].lower() == magic.lower():
            return kind
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    if printable == len(head) and any(byte in b":{}<" for byte in head):
        return TEXT
    return ""


CAFFEMODEL = "caffemodel"
STATE = "solver state (.solverstate)"
MEAN = "mean image (.binaryproto)"
MESSAGES = (CAFFEMODEL, STATE, MEAN)

_VARINT, _BYTES = 0, 2
# The fields that a file of each kind begins with, as (number, wire type).
_BEGINNINGS = (
    (STATE, ((1, _VARINT), (2, _BYTES))),
    (MEAN, ((1, _VARINT), (2, _VARINT), (3, _VARINT), (4, _VARINT), (5, _BYTES))),
    (MEAN, ((5, _BYTES),)),
    (MEAN, ((7, _BYTES),)),
)
# A caffemodel is fields of the net's own, and then a layer: `layers` of 2014, or `layer`.
_OF_A_NET = {*((n, _BYTES) for n in (1, 3, 6, 8)), *((n, _VARINT) for n in (4, 5, 7))}
_OLD_LAYERS = (2, _BYTES)  # they follow the net's name; alone they prove nothing
_LAYERS = {_OLD_LAYERS, (100, _BYTES)}
_NAME_AND_INPUT = ((1, _BYTES), (3, _BYTES))


def message(head: bytes) -> str:
    """Guess which of Caffe's message files begins with these bytes; '' if none.

    >>> message(bytes([8, 5]) + bytes([18, 1]) + b"a")
    'solver state (.solverstate)'
    """
    fields = tuple(_fields(head))
    for kind, beginning in _BEGINNINGS:
        if fields[: len(beginning)] == beginning:
            return kind
    if fields[:2] == _NAME_AND_INPUT:
        return CAFFEMODEL
    first = next(itertools.dropwhile(_OF_A_NET.__contains__, fields), None)
    return CAFFEMODEL if first in _LAYERS and fields[0] != _OLD_LAYERS else ""


def _fields(head: bytes) -> Iterator[tuple[int, int]]:
    """(number, wire type) of the fields that begin in `head`, up to one that cannot be."""
    at = 0
    while at < len(head):
        tag, at = _varint(head, at)
        if tag & 7 not in (_VARINT, _BYTES):
            return
        yield tag >> 3, tag & 7
        value, at = _varint(head, at)
        at += value if tag & 7 == _BYTES else 0


def _varint(head: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(head):
        byte = head[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at
