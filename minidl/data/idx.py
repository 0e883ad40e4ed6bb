"""Read idx files, the format in which MNIST and its kin are published."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from minidl.errors import DataError, FormatError, MinidlError

MOST_BYTES = 1 << 30  # MNIST's largest file unpacks to 47 MB; a small gzip can expand to anything


def read(path: Path) -> np.ndarray:
    """Return the array of bytes in an idx file, gzipped or not.

    An idx file is two zero bytes, a byte for the type (8: unsigned bytes, the only one read here),
    a byte for the number of axes, their sizes as big-endian 32-bit integers, and the values.

    Errors: FormatError for a file that is cut, too long, or something else; at most MOST_BYTES
    are ever held.
    """
    try:
        with open(path, "rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain) if packed else plain as stream:
                head = stream.read(4)
                shape = _shape(path, head, stream.read(4 * head[3]) if len(head) == 4 else b"")
                count = math.prod(shape)
                values = stream.read(count)
                rest = stream.read(1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(
            f"cannot be unpacked: {error}", where=str(path), fix="copy or download it again"
        ) from None
    except MinidlError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot be read: {reason}", where=str(path)) from None
    if len(values) != count or rest:
        raise FormatError(
            f"has {'more than ' if rest else ''}{len(values)} bytes of values",
            where=str(path),
            expected=f"{count}, for the shape {shape}",
            fix="copy or download it again",
        )
    return np.frombuffer(values, np.uint8).reshape(shape)


def _shape(path: Path, head: bytes, sizes: bytes) -> tuple[int, ...]:
    if len(head) < 4 or head[:3] != b"\0\0\x08" or not 1 <= head[3] <= 4:
        raise FormatError(
            f"begins with the bytes {head.hex(' ') or '(none)'}",
            where=str(path),
            expected="an idx file of bytes: 00 00 08 and the number of axes",
        )
    if len(sizes) < 4 * head[3]:
        raise FormatError("ends within its first bytes", where=str(path), expected="an idx file")
    shape = struct.unpack(f">{head[3]}I", sizes)
    if math.prod(shape) > MOST_BYTES:
        raise FormatError(
            f"claims the shape {shape}", where=str(path), expected=f"at most {MOST_BYTES} values"
        )
    return shape


def find(folder: Path, name: str) -> Path:
    """Return the file `name` in a folder, gzipped or not, under the names that mirrors give it."""
    dotted = name.replace("-idx", ".idx")
    names = [f"{name}.gz", name, f"{dotted}.gz", dotted]
    for candidate in names:
        if os.path.isfile(folder / candidate):
            return folder / candidate
    raise DataError(
        f"has no file {name}" if os.path.isdir(folder) else "is not a folder",
        where=str(folder),
        expected=" or ".join(names),
    )
