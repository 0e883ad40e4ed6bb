"""pycaffe's functions for a process and its log: Timer, init_log, log, and its GPUs' count."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from minidl.errors import UsageError
from minidl.runs.glog import LEVELS, GlogFormatter

LOG = logging.getLogger("minidl")
ONE = "one process trains on one device"


class Timer:
    """A stop watch: start(), stop(), and `ms`, the milliseconds between the two.

    It does not wait for a GPU: a net's blob that is read does.
    """

    def __init__(self) -> None:
        self._start = self._end = 0.0
        self._runs = False

    def start(self) -> None:
        self._runs, self._start = True, time.perf_counter()

    def stop(self) -> None:
        if self._runs:
            self._runs, self._end = False, time.perf_counter()

    @property
    def ms(self) -> float:
        """Milliseconds; a watch that runs is stopped."""
        self.stop()
        return (self._end - self._start) * 1000


class _Handler(logging.Handler):
    """Lines to what is stderr at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def init_log(level: int | None = None, stderr: bool = True) -> None:
    """Write the log to stderr, in glog's form.

    level    from which on: 0 info, 1 warning, 2 error; by default GLOG_minloglevel's, or else 0
    stderr   without effect: Caffe's log files in /tmp are not written

    A program that has set up a handler of its own for the log "minidl", or for all logs, keeps it,
    and its level, too, if none is given.
    """
    mine = not LOG.hasHandlers()
    if mine:
        handler = _Handler()
        handler.setFormatter(GlogFormatter())
        LOG.addHandler(handler)
    if level is None and mine:
        text = os.environ.get("GLOG_minloglevel", "0")
        level = int(text) if text.isdecimal() else 0
    if level is not None:
        LOG.setLevel(LEVELS[max(0, min(level, len(LEVELS) - 1))])


def log(text: str) -> None:
    """Write a line to the log."""
    LOG.info("%s", text, stacklevel=2)


def has_nccl() -> bool:
    """False: see NCCL."""
    return False


class NCCL:
    """Refused: pycaffe's way to train on several GPUs, a process for each of them."""

    def __init__(self, solver: Any, uid: Any) -> None:
        raise UsageError("NCCL is not there", where="caffe.NCCL", expected=ONE)

    @staticmethod
    def new_uid() -> bytes:
        raise UsageError("NCCL is not there", where="caffe.NCCL", expected=ONE)


def solver_count() -> int:
    """Return the number of solvers that train together: 1."""
    return 1


def set_solver_count(count: int) -> None:
    """Refused, but for 1."""
    if count != 1:
        raise UsageError(f"{count} solvers are asked for", expected=ONE)


def solver_rank() -> int:
    """Return which of the solvers this process runs: 0."""
    return 0


def set_solver_rank(rank: int) -> None:
    """Refused, but for 0."""
    if rank != 0:
        raise UsageError(f"the solver of rank {rank} is asked for", expected=ONE)


def set_multiprocess(several: bool) -> None:
    """Without effect: solvers of one process do not know each other."""
