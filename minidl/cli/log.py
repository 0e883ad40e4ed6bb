"""Where the lines of the log go, in the format that Caffe's log parsers read."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minidl.errors import MinidlError, UsageError, legible
from minidl.runs.glog import LEVELS, GlogFormatter

log = logging.getLogger("minidl")

# Caffe's commands whose lines on stderr other programs read; others answer on stdout.
CAFFES = ("train", "test", "time")


class LogFile(logging.FileHandler):
    """A file to append to; if that fails, as on a full disk, a warning says so, once."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.failed:
            self.failed = True
            reason = getattr(sys.exc_info()[1], "strerror", None) or "it has failed"
            where = f"log file {self.baseFilename}"
            say(legible(f"minidl: warning: {where}: can no longer be written: {reason}"))

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the same full disk
            super().close()


class WarningsHandler(logging.Handler):
    """Warnings only, as sentences, above a progress bar if there is one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        say(legible(f"minidl: {record.levelname.lower()}: {record.getMessage()}"))


def on_terminal(args: Namespace) -> bool:
    """Return whether a person watches: stderr is a terminal and -logtostderr was not given."""
    return sys.stderr.isatty() and not to_stderr(args)


def to_stderr(args: Namespace) -> bool:
    """Return -logtostderr, or glog's environment variable for it."""
    return args.logtostderr or os.environ.get("GLOG_logtostderr", "0") not in ("", "0")


def folder(args: Namespace) -> Path | None:
    """Return -log_dir, or glog's environment variable for it."""
    name = args.log_dir or os.environ.get("GLOG_log_dir")
    return Path(name) if name else None


def say(text: str) -> None:
    """Write one line to stderr, above a progress bar if there is one."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)


@contextlib.contextmanager
def logging_to(args: Namespace, file: Path | None = None) -> Iterator[None]:
    """Send minidl's log to `file`, and to stderr: all of it for `CAFFES` off a terminal and with
    -logtostderr, else only warnings, in words.

    file    appended to; its folder is made. Without it, -log_dir DIR gives DIR/<command>.log.
    """
    if file is None and (place := folder(args)) is not None:
        file = place / f"{args.command}.log"
    whole = to_stderr(args) or (args.command in CAFFES and not on_terminal(args))
    handlers: list[Any] = [logging.StreamHandler() if whole else WarningsHandler()]
    if file is not None:
        handlers.append(_file_handler(file))
    before = log.level
    log.setLevel(LEVELS[_least(args)])
    for handler in handlers:
        if not isinstance(handler, WarningsHandler):
            handler.setFormatter(GlogFormatter())
        log.addHandler(handler)
    try:
        yield
    except Exception as error:  # the caller shows it; the file needs it too
        if file is not None:
            known = isinstance(error, MinidlError)
            text, trace = (str(error), None) if known else ("a bug in minidl:", sys.exc_info())
            parts = (log.name, logging.ERROR, __file__, 0, text, (), trace)
            handlers[-1].handle(log.makeRecord(*parts))
        raise
    finally:
        log.setLevel(before)
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


def _file_handler(file: Path) -> logging.Handler:
    from minidl.storage import replaceable

    replaceable.check_appendable(file, replaceable.LOG)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return LogFile(file, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot be written: {reason}", where=f"log file {file}") from None


def _least(args: Namespace) -> int:
    if args.minloglevel is not None:
        return int(args.minloglevel)
    text = os.environ.get("GLOG_minloglevel", "0")
    return int(text) if text in ("0", "1", "2", "3") else 0
