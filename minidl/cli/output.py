"""stdout and stderr as commands use them: in any state of these, never a traceback.

Either may be closed, full, a pipe without a reader, or in an encoding without our characters.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from minidl.errors import RunError, escaped


class OutputError(RunError):
    """stdout cannot take a command's output."""


class ReaderLeft(Exception):
    """The reader of our output has left, as in `minidl check net.prototxt | head`."""


class Stream:
    """A stream of the process, whose failures are handled."""

    def __init__(self, stream: Any) -> None:
        self.plain = stream

    def write(self, text: str) -> int:
        with self._failures():
            self.plain.write(self._fit(text))
        return len(text)

    def flush(self) -> None:
        with self._failures():
            self.plain.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def _fit(self, text: str) -> str:
        return text

    def _failures(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError


class Output(Stream):
    """stdout: control characters escaped, and failures as OutputError or ReaderLeft."""

    def _fit(self, text: str) -> str:
        return escaped(text)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            _silence(self.plain)
            raise ReaderLeft from None
        except OSError as error:
            _silence(self.plain)
            raise OutputError(f"cannot be written: {error.strerror}", where="stdout") from None


class Complaints(Stream):
    """stderr: nobody can be told of its failures, so text that cannot be written is dropped."""

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:  # a pipe that its reader has not emptied yet
            pass
        except OSError:
            _silence(self.plain)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Replace sys.stdout and sys.stderr by these inside the block; leaving it flushes both."""
    before = sys.stdout, sys.stderr
    stdout = _opened(1, before[0], os.O_RDONLY)  # to write there is an error, as it was
    stderr = _opened(2, before[1], os.O_WRONLY)
    for stream in (stdout, stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    out, err = Output(stdout), Complaints(stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        err.flush()
        sys.stdout, sys.stderr = before[0] or stdout, before[1] or stderr


@contextlib.contextmanager
def given_back() -> Iterator[None]:
    """Restore stdout and stderr inside the block: for other people's programs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (getattr(stream, "plain", stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _opened(number: int, stream: Any, mode: int) -> Any:
    """Return the stream; if it was closed before Python started, one whose descriptor is taken.

    Otherwise the next opened file would become our stdout.
    """
    if stream is not None:
        return stream
    found = os.open(os.devnull, mode)
    if found != number:
        os.dup2(found, number)
        os.close(found)
    return open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _silence(stream: Any) -> None:
    """Discard what is left in the stream's buffer, which Python flushes at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
