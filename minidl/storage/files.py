"""Read and write whole files, whatever interrupts it."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minidl.errors import FormatError, MinidlError, RunError, UsageError, did_you_mean
from minidl.storage import replaceable

PathLike = str | os.PathLike[str]

UNPACKED_FREE, UNPACKED_RATIO = 1 << 26, 64
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_HOPELESS = {  # wrong from the start: the caller's path, not the run
    errno.ENOENT: "there is no such folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.EISDIR: "there is a folder of this name",
    errno.ENAMETOOLONG: "the name is too long",
}


def read(
    path: PathLike, what: str = "file", most: int | None = None, limit: int | None = None
) -> np.ndarray:
    """All bytes of a regular file, or the first `most`, as an array of uint8.

    what    the kind of file, for messages: "weights", "solver state"
    limit   bytes above which such a file makes no sense; by default the machine's memory

    Read, not mapped: a mapped file that another program shortens kills the process.

    Errors: UsageError for a path that is absent, a folder, a pipe or not readable, and for a file
    that is too large.
    """
    try:
        mode = os.stat(path).st_mode  # before opening: that would wait for a pipe's writer
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UsageError("is not a regular file", where=str(path), expected=f"a {what} file")
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            size = size if most is None else min(size, most)
            check_size(size, path, what, limit)
            data = np.empty(size, np.uint8)  # NumPy's memory has far fewer page faults
            done = 0
            while done < data.size and (count := file.readinto(data[done:].data)):
                done += count
            return data[:done]
    except MinidlError:
        raise
    except MemoryError:
        size = os.path.getsize(path)
        raise RunError(f"not enough memory for its {size:,} bytes", where=str(path)) from None
    except IsADirectoryError:
        raise UsageError("is a folder", where=str(path), expected=f"a {what} file") from None
    except FileNotFoundError:
        near = did_you_mean(Path(path).name, _names_beside(Path(path)))
        raise UsageError(f"there is no such {what} file", where=str(path), fix=near) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot be read: {reason}", where=str(path)) from None


@contextlib.contextmanager
def explaining(path: PathLike, form: str, expected: str) -> Iterator[None]:
    """Blame the file at `path`, of the format `form`, for all that goes wrong inside the block:
    for a damaged file libraries raise nearly anything."""
    try:
        yield
    except MinidlError:
        raise
    except MemoryError:
        raise RunError("not enough memory for its arrays", where=str(path)) from None
    except Exception as error:
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise FormatError(
            f"cannot be read as {form}: {said}",
            where=str(path),
            expected=expected,
            fix="copy or download the file again",
        ) from None


def check_size(size: int, path: PathLike, what: str, limit: int | None = None) -> None:
    """Refuse a size above `limit`, or above the machine's memory, before anything is allocated."""
    most = min(memory_bytes(), limit or size)
    if size > most:
        raise UsageError(
            f"has {size:,} bytes",
            where=str(path),
            expected=f"{what} of at most {most:,}" + ("" if limit == most else ", all memory"),
        )


def check_unpacked(size: int, path: PathLike, what: str) -> None:
    """Refuse a packed file whose contents, of `size` bytes, are far larger than the file.

    Numbers of trained nets hardly shrink; pruned ones and zeros do, but not without limit.
    """
    packed = os.path.getsize(path)
    check_size(size, path, f"{what}, unpacked,")
    if size > UNPACKED_FREE + UNPACKED_RATIO * packed:
        raise UsageError(
            f"has {packed:,} bytes and would become {size:,}",
            where=str(path),
            expected=f"{what} of which a byte becomes {UNPACKED_RATIO} at most",
            fix="store them unpacked, if they are what they should be",
        )


@functools.cache
def memory_bytes() -> int:
    """The machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return 1 << 40


def head(path: PathLike, what: str = "file") -> bytes:
    """Return the first bytes of a regular file, which tell formats apart; errors as in `read`."""
    return bytes(read(path, what, most=512))


def sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, as the command sha256sum prints it.

    Takes 0.05 to 0.25 s for 100 MB in memory, depending on the CPU's instructions for it.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    return digest.hexdigest()


@contextlib.contextmanager
def replacing(path: PathLike, own: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends, and not before.

        with files.replacing("lenet_iter_500.caffemodel") as file:
            file.write(data)

    The bytes go to ``<path>.partial-<process id>``, reach the disk, and are renamed. A reader of
    `path` sees the old file or the new one, whole, even if the process is killed or the
    power fails. An error removes the partial file; only a killed process leaves one behind.

    own    the caller knows from neighbouring files that it wrote the file of this name

    Errors: RunError for a full disk; UsageError for a path that cannot be written, and for a file
    that exists and is not of the new one's kind (`replaceable.check`).
    """
    target = Path(path)
    partial = named(target, f"{target.name}.partial-{os.getpid()}")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()  # left by a killed process with the same id
        with open(partial, "xb") as file:  # never through an existing link
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists() and not own:
            replaceable.check(target, replaceable.kind_of(partial))
        os.replace(partial, target)
        sync_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError, ValueError):
            partial.unlink()
        if isinstance(error, OSError):
            raise _cannot_write(target, error) from None
        raise


def check_writable(path: PathLike) -> None:
    """Refuse a path whose folder cannot take a new file: before hours of work, not after."""
    target = Path(path)
    probe = named(target, f"{target.name}.probe-{os.getpid()}")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _cannot_write(target, error) from None


def check_target(path: PathLike) -> None:
    """Check a path as `check_writable` does; an existing file must be of a kind that
    minidl writes."""
    replaceable.check_known(path)
    check_writable(path)


def named(path: Path, name: str) -> Path:
    """Return another name in the folder of `path`; refuse one that cannot name a new file."""
    if path.name in ("", "..") or "\0" in str(path):
        raise UsageError(
            "is not a valid file name",
            where=repr(str(path)) if "\0" in str(path) else str(path),
            expected="a name, with or without its folder",
        )
    return path.with_name(name)


def _cannot_write(path: Path, error: OSError) -> MinidlError:
    if error.errno in _FULL:
        return RunError(
            f"cannot be written: {error.strerror}",
            where=str(path),
            fix="free some space; the file of this name, if there was one, is unchanged",
        )
    reason = _HOPELESS.get(error.errno or 0)
    if reason is None:
        return RunError(f"cannot be written: {error.strerror or error}", where=str(path))
    fix = f"make the folder: mkdir -p {path.parent}" if error.errno == errno.ENOENT else ""
    return UsageError(f"cannot be written: {reason}", where=str(path), fix=fix)


def sync_folder(folder: Path) -> None:
    """Make a rename durable; some file systems cannot do that for a folder, and report EINVAL."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _names_beside(path: Path) -> list[str]:
    try:
        return os.listdir(path.parent)
    except OSError:
        return []


def write_all(path: PathLike, chunks: list[Any], own: bool = False) -> None:
    """Replace what is in `path` by these bytes and arrays, in order; `own` as in `replacing`."""
    with replacing(path, own) as file:
        for chunk in chunks:
            file.write(chunk)
