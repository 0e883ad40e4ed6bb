"""Stop the command that is at work in a folder.

minidl stop RUN                  a training run writes a snapshot first, and can be resumed
minidl stop RUN --after-epoch    the same, when the run has seen all of its data once more
minidl stop RUN --abort          at once; the files that are there stay whole
"""

from __future__ import annotations

import signal
import time
from argparse import Namespace
from pathlib import Path

from minidl.cli.arguments import Parser
from minidl.errors import RunError, UsageError
from minidl.runs import job, processes

PATIENCE_S = 10.0  # for a process that was killed to be gone


def add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="that a command writes to")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--after-epoch", action="store_true", help="of training: when the epoch ends")
    how.add_argument("--abort", action="store_true", help="kill it, with what it started")


def run(args: Namespace) -> int:
    folder = Path(args.folder)
    found = _at_work(folder)
    if args.abort:
        _abort(folder, found)
        print(f"{folder}: process {found.pid} is killed")
        return 0
    number: int = signal.SIGTERM
    if args.after_epoch:
        number = _of_an_epoch(folder)
    _send(folder, found, number)
    when = " when its epoch ends" if args.after_epoch else ""
    print(f"{folder}: process {found.pid} was asked to stop{when}")
    return 0


def _at_work(folder: Path) -> job.Status:
    """Return the status of a folder where a command is running; refuse all others."""
    if not (folder / job.STATUS).is_file():
        raise UsageError(
            f"holds no {job.STATUS}",
            where=str(folder),
            expected="the folder that a command such as minidl train writes to",
        )
    found = job.status(folder)
    state = job.state(found)
    if state == job.RUNNING:
        return found
    where = str(folder)
    if state == job.INTERRUPTED:
        raise UsageError(f"nothing is at work: process {found.pid} is gone", where=where)
    raise UsageError(f"nothing is at work: this job is {state}", where=where)


def _of_an_epoch(folder: Path) -> int:
    kind = job.read(folder).kind
    if kind != "train":
        raise UsageError(
            f"--after-epoch is for training, and this is a job of minidl {kind}",
            where=str(folder),
            fix=f"minidl stop {folder}",
        )
    if processes.AFTER_EPOCH is None:
        raise UsageError(
            "this system has no signal to ask for that", where="--after-epoch", fix="minidl stop"
        )
    return processes.AFTER_EPOCH


def _send(folder: Path, found: job.Status, number: int, group: bool = False) -> None:
    try:
        there = processes.send(found.pid, found.started, number, group)
    except PermissionError:
        raise UsageError(
            f"process {found.pid} belongs to another user", where=str(folder)
        ) from None
    if not there:
        raise UsageError(f"process {found.pid} has just ended", where=str(folder))


def _abort(folder: Path, found: job.Status) -> None:
    _send(folder, found, processes.KILL, group=True)
    deadline = time.monotonic() + PATIENCE_S
    while processes.alive(found.pid, found.started):
        if time.monotonic() > deadline:
            raise RunError(f"process {found.pid} was killed, but has not ended", where=str(folder))
        time.sleep(0.01)
    last = job.status(folder)
    if last.state == job.RUNNING:
        job.write_status(folder, last.became(job.ABORTED))
