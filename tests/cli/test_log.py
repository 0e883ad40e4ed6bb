"""The log's lines, as Caffe's own parsers take them apart, and where they go."""

import datetime
import logging
import os
import re
from argparse import Namespace

import pytest

from minidl.cli.log import GlogFormatter, logging_to
from tests.support import shared

log = logging.getLogger("minidl")
# level, month, day, time, microseconds, process, file:line (glog's head of a line)
HEAD = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d:\d\d:\d\d)\.(\d{6}) +(\d+) (\S+):(\d+)\] (.*)")


def arguments(**changed):
    plain = dict(logtostderr=False, log_dir=None, minloglevel=None, command="test")
    return Namespace(**{**plain, **changed})


def record(level, text, created=0.0):
    made = logging.LogRecord("minidl", level, "/x/loop.py", 204, text, None, None)
    made.created, made.process = created, 250
    return made


def test_a_line_is_glogs():
    moment = datetime.datetime(2026, 2, 3, 13, 39, 2, 22381).timestamp()
    line = GlogFormatter().format(record(logging.INFO, "Iteration 100, lr = 0.01", moment))
    assert line == "I0203 13:39:02.022381   250 loop.py:204] Iteration 100, lr = 0.01"


@pytest.mark.parametrize(
    "level, letter",
    [(logging.INFO, "I"), (logging.WARNING, "W"), (logging.ERROR, "E"), (logging.CRITICAL, "F")],
)
def test_the_first_letter_is_the_level(level, letter):
    assert GlogFormatter().format(record(level, "text"))[0] == letter


def test_caffes_own_log_has_the_same_head_but_for_the_year():
    lines = shared("golden/cli/cli_train.log").read_text().splitlines()
    line = next(line for line in lines if "Solving" in line)
    assert HEAD.fullmatch(line.strip().replace("I2026", "I"))


def test_lines_go_to_stderr_and_to_the_file(tmp_path, capsys):
    file = tmp_path / "deep" / "run.log"
    with logging_to(arguments(), file):
        log.info("one")
        log.warning("two")
    log.info("after: nobody listens")
    lines = capsys.readouterr().err.splitlines()
    assert file.read_text().splitlines() == lines
    assert [HEAD.fullmatch(line).group(1, 9) for line in lines] == [("I", "one"), ("W", "two")]


def test_minloglevel_leaves_lines_out(capsys, monkeypatch):
    monkeypatch.setenv("GLOG_minloglevel", "2")
    with logging_to(arguments()):
        log.warning("hidden")
        log.error("shown")
    with logging_to(arguments(minloglevel=1)):  # the flag counts more than the environment
        log.info("hidden")
        log.warning("shown, too")
    err = capsys.readouterr().err
    assert "hidden" not in err and len(err.splitlines()) == 2


def test_log_dir_makes_a_file_named_after_the_command(tmp_path, capsys, monkeypatch):
    with logging_to(arguments(log_dir=str(tmp_path / "a"))):
        log.info("by flag")
    monkeypatch.setenv("GLOG_log_dir", str(tmp_path / "b"))
    with logging_to(arguments()):
        log.info("by environment")
    assert (tmp_path / "a" / "test.log").read_text().endswith("by flag\n")
    assert (tmp_path / "b" / "test.log").read_text().endswith("by environment\n")


def test_commands_whose_answer_is_on_stdout_show_warnings_only_and_log_all(tmp_path, capsys):
    with logging_to(arguments(command="classify", log_dir=str(tmp_path))):
        log.info("Memory required")
        log.warning("layer 'ip2' has no weights")
    assert capsys.readouterr().err == "minidl: warning: layer 'ip2' has no weights\n"
    lines = (tmp_path / "classify.log").read_text().splitlines()
    assert [HEAD.fullmatch(line).group(1) for line in lines] == ["I", "W"]


@pytest.mark.parametrize("command", ["train", "test", "time"])
def test_commands_of_caffe_whose_lines_are_parsed_show_them(command, capsys):
    with logging_to(arguments(command=command)):
        log.info("Iteration 0")
    assert HEAD.fullmatch(capsys.readouterr().err.strip()).group(9) == "Iteration 0"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_log_file_on_a_full_disk_is_said_once_and_the_run_goes_on(tmp_path, capsys):
    with logging_to(arguments(command="convert"), tmp_path / "x.log"):
        log.handlers[-1].setStream(open("/dev/full", "w")).close()
        log.info("one")
        log.info("two")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "x.log: can no longer be written: No space left on device" in err


def test_names_from_files_cannot_steer_a_terminal_by_way_of_the_log(capsys):
    with logging_to(arguments()):
        log.info("Creating Layer %s", "\x1b[2J\r" + "x" * 100_000)
    err = capsys.readouterr().err
    assert "\\x1b[2J\\x0dxxx" in err and len(err) < 500


class Terminal:
    """A stderr that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_on_a_terminal_only_warnings_are_shown_and_in_words(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with logging_to(arguments()):
        log.info("Iteration 0, loss = 2.3")
        log.warning("layer 'ip2' has no weights in x.caffemodel")
    assert terminal.text == "minidl: warning: layer 'ip2' has no weights in x.caffemodel\n"


def test_logtostderr_shows_all_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with logging_to(arguments(logtostderr=True)):
        log.info("one")
    monkeypatch.setenv("GLOG_logtostderr", "1")
    with logging_to(arguments()):
        log.info("two")
    assert [HEAD.fullmatch(line).group(9) for line in terminal.text.splitlines()] == ["one", "two"]
