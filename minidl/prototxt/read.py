"""Read prototxt files into messages: nets and solvers, in any form they are written in."""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path
from typing import Any

from minidl import schema
from minidl.errors import MinidlError, PrototxtError, did_you_mean, raise_all
from minidl.prototxt.parser import Parser
from minidl.prototxt.upgrade import upgrade_net, upgrade_solver
from minidl.storage import sniff

# Of text. The largest known nets have half a megabyte; a hostile text of this size may take ten
# to twenty seconds and half a gigabyte.
MAX_BYTES = 4 * 2**20
TEXT = "<text>"  # the file's name in errors about text that comes from no file

_FETCH = {
    sniff.WEB_PAGE: "fetch the file's text, not the page that shows it (GitHub: the 'Raw' button)",
    sniff.POINTER: "fetch it with 'git lfs pull'",
}
_log = logging.getLogger("minidl.prototxt")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]")


def read_net(
    source: str | os.PathLike[str],
    notes: list[str] | None = None,
    errors: list[MinidlError] | None = None,
) -> Any:
    """Return the NetParameter in a prototxt file or string, in today's form.

    source   the path of a file, or the text itself: a string that names no existing file and has
             a line break, '{' or ':' in it
    notes    a list to which one sentence is appended for each way in which the net was
             upgraded from an older form; without it they go to the log `minidl.prototxt`
    errors   a list to which errors in fields are appended; those fields are then left out;
             without it they are raised

    Every layer knows its place in the file (`minidl_origin`). Refuses text that is not prototxt or
    not Caffe's, with file, line and column of each error, and files above 4 MiB.
    """
    text, file = _load(source)
    said: list[str] = []
    net, found = upgrade_net(read_message(text, schema.NetParameter, file, said, errors))
    _pass_on(said + found, notes)
    return net


def read_solver(source: str | os.PathLike[str], notes: list[str] | None = None) -> Any:
    """Return the SolverParameter in a prototxt, as `read_net` does; its nets are upgraded too."""
    text, file = _load(source)
    said: list[str] = []
    solver, found = upgrade_solver(read_message(text, schema.SolverParameter, file, said))
    _pass_on(said + found, notes)
    return solver


def read_message(
    text: str,
    cls: Any,
    filename: str = TEXT,
    notes: list[str] | None = None,
    errors: list[MinidlError] | None = None,
) -> Any:
    """Return a message of class `cls` from text, as it is written: nothing is upgraded.

    Raises PrototxtError, for all that is wrong with the text at once. `filename` is for errors.
    `notes`, if given, gets a sentence for each thing that protobuf would have refused, `errors`
    each error: nothing is then raised.

    >>> read_message("dim: 2 dim: 3", schema.BlobShape).dim
    [2, 3]
    """
    if len(text) > MAX_BYTES:
        raise PrototxtError(
            f"the text has {len(text)} characters",
            where=filename,
            expected=f"at most {MAX_BYTES}",
            fix="keep weights and other arrays in binary files",
        )
    _refuse_other_text(text, filename)
    parser = Parser(text, filename)
    message = parser.read(cls)
    if errors is None:
        raise_all(parser.errors())
    else:
        errors += parser.errors()
    if notes is not None:
        notes += [f"{filename}: {note}" for note in parser.notes]
    return message


def _refuse_other_text(text: str, filename: str) -> None:
    """Refuse what a browser or git leaves in place of a file, and text that is not prototxt."""
    kind = sniff.guess(text[:1024].encode("utf-8", "replace")) if text.strip() else ""
    if kind in ("", sniff.TEXT):
        return
    raise PrototxtError(
        f"this is {kind}",
        where=filename,
        expected="a net or solver as text",
        fix=_FETCH.get(kind, ""),
    )


def _pass_on(found: list[str], notes: list[str] | None) -> None:
    if notes is not None:
        notes.extend(found)
    else:
        for note in found:
            _log.info(note)


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a prototxt file; errors as of `read_net`, except those of its fields."""
    return _load(Path(path))[0]


def _load(source: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the text that `source` is or names, and a name for the file."""
    if isinstance(source, str) and not _is_path(source):
        return source, TEXT
    file = os.fspath(source)
    try:
        path = Path(file)
        mode = os.stat(path).st_mode  # before opening: that would wait for a pipe's writer
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise PrototxtError("is not a regular file", where=file, expected="a text file")
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except PrototxtError:
        raise
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise PrototxtError(f"cannot be read: {reason}", where=repr(file)) from None
    return _decoded(data, file), file


def _is_path(source: str) -> bool:
    if "\n" in source or len(source) > 4096:
        return False
    try:
        if os.path.exists(source):
            return True
    except ValueError:  # a NUL cannot be in a path
        return False
    return bool(_DRIVE.match(source)) or not ("{" in source or ":" in source)


def _missing(path: Path) -> PrototxtError:
    """Return an error for a missing file; it names a near miss or what its folder holds."""
    folder = path.parent
    if not folder.is_dir():
        return PrototxtError(f"there is no folder '{folder}'", where=str(path))
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError:
        names = []
    fix = did_you_mean(path.name, names)
    prototxts = [name for name in names if name.endswith(".prototxt")]
    if not fix and prototxts:
        listing = ", ".join(prototxts[:5]) + (", ..." if len(prototxts) > 5 else "")
        fix = f"prototxts in that folder: {listing}"
    return PrototxtError("there is no such file", where=str(path), fix=fix)


def _decoded(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise PrototxtError(
            f"the file has more than {MAX_BYTES} bytes",
            where=file,
            expected="a prototxt, which is a short text",
            fix="keep weights and other arrays in binary files",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PrototxtError("this is UTF-16 text", where=file, fix="save the file as UTF-8")
    if _NOT_TEXT.search(data, 0, 65536):
        kind = sniff.message(data[:512])
        kind = f"a binary file ({kind})" if kind else sniff.guess(data[:512]) or "a binary file"
        raise PrototxtError(
            f"this is {kind}, not a prototxt",
            where=file,
            expected="a net or solver as text",
            fix="if it holds trained weights, pass it as weights together with the net's prototxt",
        )
    # comments in old files are in all kinds of encodings: bytes that are not UTF-8 pass as they are
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
