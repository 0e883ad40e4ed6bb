"""The folder in which a data set is made: a job, with its status, its log and its progress."""

from __future__ import annotations

import contextlib
import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minidl.cli import jobs, log
from minidl.cli.progress import bar
from minidl.errors import MinidlError, UsageError
from minidl.runs import job

LOG = "dataset.log"
FORCE = "--out DIR, or --force to replace it"
# What share of the work is done when a stage begins, and what share of it the stage is.
STAGES = {
    "reading": (0.0, 0.1),
    "writing": (0.1, 0.8),
    "averaging": (0.9, 0.1),
    "describing": (0.0, 1.0),
}


class Place:
    """What the code that makes a data set tells of its progress: see minidl.data.making.Watch.

    Pictures are read, written and read again; `done` of status.json is the share of all of this,
    in pictures.
    """

    def __init__(self, folder: Path, report: job.Report, progress: Any) -> None:
        self.folder, self._report, self._bar = folder, report, progress
        self._total = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._bar.update()
        self._total = max(self._total, total)  # means are those of one part
        before, share = STAGES[stage]
        part = before + share * done / max(1, total)
        self._report.progress(round(part * self._total), self._total, "pictures")

    def end(self) -> None:
        """Say that all is done."""
        self._report.progress(self._total, self._total, "pictures", force=True)


def free(out: Path, force: bool) -> None:
    """Refuse a folder that holds a data set already, unless it is to be replaced."""
    from minidl.data import described, set_files
    from minidl.preprocess import NAME

    if not force and ((out / NAME).exists() or described.is_one(out)):
        raise UsageError("holds a data set already", where=str(out), fix=FORCE)
    set_files.check(out)


@contextlib.contextmanager
def working(args: Namespace, out: Path) -> Iterator[Place]:
    """Make `out` the folder of a job while the block runs.

    A job that is refused leaves nothing behind in a folder that was not one before.
    """
    known = (out / job.JOB).exists()
    before = set(os.listdir(out)) if out.is_dir() else set()
    made = [path for path in (out, *out.parents) if not path.exists()]
    file = None if log.folder(args) else out / LOG
    try:
        with (
            jobs.running(args, out) as report,
            log.logging_to(args, file),
            bar(args, desc="pictures", unit="files") as progress,
        ):
            place = Place(out, report, progress)
            yield place
            place.end()
    except MinidlError as error:
        if error.exit_code == UsageError.exit_code and not known:
            _leave(out, before, made)
        raise


def _leave(out: Path, before: set[str], made: list[Path]) -> None:
    """Remove the job's own files if nothing else is new, and the folders that were made for it."""
    ours = {job.JOB, job.STATUS, LOG} - before
    with contextlib.suppress(OSError):
        if set(os.listdir(out)) - ours == before:
            for name in ours:
                (out / name).unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()
