"""Timer, the log, and what pycaffe says of several GPUs."""

import logging
import re
import time

import pytest

from minidl.errors import UsageError
from minidl.pycaffe import process


@pytest.fixture
def log(monkeypatch):
    """A log without handlers, as a fresh program finds minidl's."""
    logger = logging.Manager(logging.RootLogger(logging.WARNING)).getLogger("fresh")
    monkeypatch.setattr(process, "LOG", logger)
    monkeypatch.delenv("GLOG_minloglevel", raising=False)
    return logger


def test_a_timer_says_milliseconds():
    timer = process.Timer()
    assert timer.ms == 0
    timer.start()
    time.sleep(0.01)
    timer.stop()
    assert 10 <= timer.ms < 10_000
    assert timer.ms == timer.ms
    timer.start()
    assert timer.ms < timer.ms + 1, "a watch that runs is stopped"


def test_the_log_goes_to_stderr_in_glogs_form(log, capsys):
    process.init_log()
    process.log("hello")
    log.debug("not this")
    line = r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ test_process\.py:\d+\] hello\n"
    assert re.fullmatch(line, capsys.readouterr().err)


@pytest.mark.parametrize("level, shown", [(0, "iwe"), (1, "we"), (2, "e"), (9, "")])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_level_leaves_lines_out(level, shown, by, log, capsys, monkeypatch):
    if by == "environment":
        monkeypatch.setenv("GLOG_minloglevel", str(level))
        process.init_log()
    else:
        process.init_log(level, True)
    log.info("i"), log.warning("w"), log.error("e")
    assert "".join(row[-1] for row in capsys.readouterr().err.splitlines()) == shown


def test_handlers_of_the_program_are_kept(log, capsys):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log.addHandler(handler)
    log.setLevel(logging.WARNING)
    process.init_log()
    log.info("i"), log.warning("w")
    process.init_log(0)
    log.info("j")
    assert lines == ["w", "j"] and capsys.readouterr().err == ""


def test_one_solver_trains():
    assert not process.has_nccl()
    assert (process.solver_count(), process.solver_rank()) == (1, 0)
    process.set_solver_count(1), process.set_solver_rank(0), process.set_multiprocess(False)
    for call in (
        lambda: process.set_solver_count(2),
        lambda: process.set_solver_rank(1),
        lambda: process.NCCL(None, b""),
        process.NCCL.new_uid,
    ):
        with pytest.raises(UsageError, match="one process trains on one device"):
            call()
