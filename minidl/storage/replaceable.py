"""Decide which files may be replaced by new ones: those whose contents are of the same kind.

A name proves nothing: ``--out thesis.txt`` may be a slip. So the existing file is read first.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

from minidl import schema
from minidl.errors import UsageError
from minidl.storage import sniff

PathLike = str | os.PathLike[str]

WEIGHTS_IN_HDF5, STATE_IN_HDF5 = "weights in HDF5", "a solver state in HDF5"
LOG, EVENTS = "a log", "events of a run"
_BYTES = 1 << 12  # read from a file's beginning
_TABLES = {b"NumIters": "a table of a run", b"filename": "a table of windows"}
_BEGINNINGS = {
    b"\x93NUMPY": "an array (.npy)",
    b"\x89PNG\r\n": "a picture (PNG)",
    b"%PDF-": "a picture (PDF)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"<svg": "a picture (SVG)",
    b"digraph ": "a graph (dot)",
}
_FIELD = re.compile(rb"(?:\s|#[^\n]*\n)*([A-Za-z_]\w*)\s*[:{<]")
_FORMAT = re.compile(rb'\{\s*"format":\s*"(minidl[ -~]{0,40}?)"')
_LOG_LINE = re.compile(rb"[IWEF](\d{4})?\d{4} \d\d:\d\d:\d\d|Log file created at: ")


def check(path: PathLike, kind: str) -> None:
    """Refuse a `path` whose contents are not of the kind that is about to replace them.

    kind    as `kind_of` returns it

    A path that does not exist, and an empty file, are free. Errors: UsageError.
    """
    found = _there(path)
    if found is not None and (found != kind or not kind):
        raise UsageError(
            f"is {found or _other(path)}; the new file is {kind or 'of another kind'}",
            where=str(path),
            expected="a new name, or a file of the same kind, which would be replaced",
            fix="write elsewhere, or remove the file first",
        )


def check_known(path: PathLike) -> None:
    """Refuse a `path` whose contents are of no kind that minidl writes: before the work, not
    after it."""
    if _there(path) == "":
        check(path, "a file of minidl's")


def check_appendable(path: PathLike, kind: str) -> None:
    """Refuse a link, and a file of another kind, as the target of appended lines."""
    if os.path.islink(path):
        raise UsageError(
            f"is a link to {os.path.realpath(path)}",
            where=str(path),
            expected=f"{kind}, or nothing",
            fix="remove the link, or write elsewhere",
        )
    check(path, kind)


def kind_of(path: PathLike) -> str:
    """Return the kind of a file that minidl could have written; '' for all others.

    HDF5 files and archives of arrays are of the same kind if their arrays have the same names.
    """
    with open(path, "rb") as file:
        head = file.read(_BYTES)
    if sniff.is_hdf5(head):
        return _of_hdf5(path)
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(path)
    for magic, kind in _BEGINNINGS.items():
        if head.startswith(magic):
            return kind
    if head.startswith(b"<?xml") and b"<svg" in head:
        return "a picture (SVG)"
    if sniff.is_safetensors(head):
        return "weights in safetensors"
    return _of_text(head) or _of_message(head)


def _there(path: PathLike) -> str | None:
    """Return the kind of the existing file, None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # absent, or an invalid path: the writer reports it
        return None
    if stat.S_ISDIR(found.st_mode):
        return None  # as above
    if not stat.S_ISREG(found.st_mode):
        return ""
    try:
        return kind_of(path) if found.st_size else None
    except OSError:
        return ""


def _other(path: PathLike) -> str:
    """Describe a file of another kind in words."""
    if not os.path.isfile(path):
        return "not a regular file"
    try:
        with open(path, "rb") as file:
            return sniff.guess(file.read(_BYTES)) or "not a file that minidl wrote"
    except OSError:
        return "a file that cannot be read"


def _of_text(head: bytes) -> str:
    if head.startswith(b'{"event": "'):
        return EVENTS
    if _LOG_LINE.match(head):
        return LOG
    if described := _FORMAT.match(head):
        return f"a description ({described[1].decode()})"
    first = re.split(rb"\W", head[:20], maxsplit=1)[0]
    if first in _TABLES:
        return _TABLES[first]
    field = _FIELD.match(head)
    name = field[1].decode() if field and b"\0" not in head else ""
    if name in schema.NetParameter.DESCRIPTOR.fields_by_name:
        return "a net (prototxt)"
    return "a solver (prototxt)" if name in schema.SolverParameter.DESCRIPTOR.fields_by_name else ""


def _of_message(head: bytes) -> str:
    if head[:1] == b"\x08" and head[2:10] == b"\x12\x06minidl":  # ir_version, producer_name
        return "an ONNX model of minidl's"
    kind = sniff.message(head)
    return f"a {kind}" if kind else ""


def _of_archive(path: PathLike) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # for a damaged archive zipfile raises nearly anything
        return ""
    if "minidl.json" in names:
        return "weights in npz"
    arrays = [name.removesuffix(".npy") for name in names]
    if not names or any(not name.endswith(".npy") for name in names):
        return ""
    return _listed("an archive of the arrays", arrays)


def _of_hdf5(path: PathLike) -> str:
    try:
        import h5py

        with h5py.File(path, "r", locking=False) as file:
            names = set(file)
            of_layers = file.get("data", getclass=True) is h5py.Group
    except Exception:  # h5py is not installed, or the file is damaged
        return ""
    if of_layers and names <= {"data", "diff", "minidl"}:
        return WEIGHTS_IN_HDF5
    if {"iter", "history"} <= names:
        return STATE_IN_HDF5
    return hdf5_of(names)


def hdf5_of(names: Any) -> str:
    """Return the kind of an HDF5 file with datasets of these names."""
    return _listed("an HDF5 file of", names)


def _listed(what: str, names: Any) -> str:
    listing = sorted(names)
    return f"{what} {', '.join(listing[:8])}" + (", ..." if len(listing) > 8 else "")


def folder_of_lmdb(folder: Path) -> None:
    """Refuse a folder that holds anything besides the files of an LMDB, and a link to one.

    An empty folder is free. Errors: UsageError that names what else is there.
    """
    expected = "an LMDB (data.mdb, lock.mdb) and nothing else, which would be replaced"
    fix = "write elsewhere, or remove it first"
    if folder.is_symlink():
        found = f"is a link to {os.path.realpath(folder)}"
        raise UsageError(found, where=str(folder), expected=expected, fix="give that folder")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError("is not a folder", where=str(folder), expected=expected, fix=fix)
    others = sorted(set(os.listdir(folder)) - {"data.mdb", "lock.mdb"})
    if others or not _is_lmdb_file(folder / "data.mdb"):
        listing = ", ".join(others[:3] or ["data.mdb"]) + (", ..." if len(others) > 3 else "")
        found = f"holds {listing}" + ("" if others else ", which is not a file of an LMDB")
        raise UsageError(found, where=str(folder), expected=expected, fix=fix)


def _is_lmdb_file(path: Path) -> bool:
    """Return whether a file belongs to an LMDB (even if damaged) or does not exist."""
    if not path.exists():
        return True
    with open(path, "rb") as file:
        head = file.read(24)
    return not head or head[16:20] == (0xBEEFC0DE).to_bytes(4, "little")
