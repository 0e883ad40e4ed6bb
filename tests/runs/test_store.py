"""Which file of a run is read, and what is refused."""

import re

import pytest

from minidl.errors import FormatError, UsageError
from minidl.runs import record, store
from tests.runs.support import LOG


def test_a_folder_a_file_of_events_and_a_log(tmp_path):
    (tmp_path / "a.log").write_text(LOG)
    event = '{"event": "test", "time": 1, "iter": 2, "net": 0, "outputs": {}}\n'
    (tmp_path / "events.jsonl").write_text(event)
    for path in (tmp_path, str(tmp_path), tmp_path / "events.jsonl"):
        assert store.record(path).tests[0][0].iteration == 2
    assert store.record(tmp_path / "a.log").train[1].iteration == 100


def test_what_holds_no_run_is_refused(tmp_path):
    (tmp_path / "a.log").write_text("I0210 13:39:00.5 25210 caffe.cpp:197] Use CPU.\n")
    with pytest.raises(FormatError, match="holds no training run"):
        store.record(tmp_path / "a.log")
    with pytest.raises(UsageError, match="without events.jsonl"):
        store.record(tmp_path)
    with pytest.raises(UsageError, match="gone.log: cannot be read: No such file"):
        store.record(tmp_path / "gone.log")


@pytest.mark.parametrize("name", ["a.log", "a.jsonl"])
def test_a_line_that_is_too_long_is_refused_in_words(tmp_path, name):
    (tmp_path / name).write_text("a" * (2 * record.LONGEST_LINE))
    message = f"{name}:1: has a line of more than 16,777,216"
    with pytest.raises(FormatError, match=re.escape(message)):
        store.record(tmp_path / name)


def test_a_folder_for_a_new_run_is_one_that_no_run_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(store.free("lenet")) == "runs/lenet"
    for name in ("lenet", "lenet-2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert str(store.free("lenet")) == "runs/lenet-3"
