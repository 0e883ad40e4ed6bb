"""What a file that cannot be read is instead."""

from __future__ import annotations

_KINDS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive (an .npz file?)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"<!doctype html", "a web page, not the file itself"),
    (b"<html", "a web page, not the file itself"),
)


def is_hdf5(head: bytes) -> bool:
    """Whether these first bytes are those of an HDF5 file."""
    return head.startswith(_KINDS[0][0])


def guess(head: bytes) -> str:
    """What a file with these first bytes seems to be, or ''.

    >>> guess(b'name: "LeNet"')
    'a text file (a prototxt?)'
    >>> guess(bytes([8, 5]))
    ''
    """
    if not head:
        return "empty"
    if not any(head):
        return "nothing but zeros at its beginning"
    for magic, kind in _KINDS:
        if head.lstrip()[: len(magic)].lower() == magic.lower():
            return kind
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    if printable == len(head) and any(byte in b":{}<" for byte in head):
        return "a text file (a prototxt?)"
    return ""
