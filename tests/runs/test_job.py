"""job.json and status.json: written whole, honest about processes that are gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from minidl.errors import FormatError, RunError, UsageError
from minidl.runs import job, processes


def test_a_job_is_read_as_it_was_written(tmp_path):
    made = job.Job(
        "train",
        ("train", "--net", "lenet"),
        name="digits",
        tags=("a", "b"),
        needs={"data": "../d"},
        form={"epochs": 3},
        created=5.5,
    )
    job.write(tmp_path, made)
    assert job.read(tmp_path) == made


def test_a_status_is_read_as_it_was_written(tmp_path):
    made = job.Status().became(job.RUNNING, pid=7).became(job.DONE)
    job.write_status(tmp_path, made)
    assert job.status(tmp_path) == made
    assert [state for state, _ in made.history] == [job.RUNNING, job.DONE]


def test_fields_of_later_versions_are_passed_over(tmp_path):
    (tmp_path / job.JOB).write_text('{"format": "minidl job 1", "kind": "train", "later": 1}')
    assert job.read(tmp_path) == job.Job("train")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "other", "kind": "train"}', "[" * 100_000, "\x00"]
    + ['{"format": "minidl job 1"}', '{"format": "minidl job 1", "kind": "t", "argv": "x"}'],
)
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / job.JOB).write_text(text)
    with pytest.raises(FormatError, match="is not one of minidl's"):
        job.read(tmp_path)


def test_a_folder_without_a_job_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        job.read(tmp_path)


def test_a_job_runs_and_is_done(tmp_path):
    with job.running(tmp_path / "a", job.Job("train", needs={})) as report:
        found = job.status(tmp_path / "a")
        assert job.state(found) == job.RUNNING and found.pid == os.getpid()
        report.progress(3, 10, "iterations")
    found = job.status(tmp_path / "a")
    assert (found.state, found.done, found.total, found.unit) == ("done", 3, 10, "iterations")
    made = job.read(tmp_path / "a")
    assert made.name == "a"
    assert os.path.realpath(tmp_path / "a" / made.cwd) == os.path.realpath(os.getcwd())


def test_progress_is_written_once_a_second(tmp_path):
    with job.running(tmp_path, job.Job("train")) as report:
        report.progress(1, 10, "iterations")
        report.progress(2, 10, "iterations")
        assert job.status(tmp_path).done == 1
        report.progress(3, 10, "iterations", force=True)
        assert job.status(tmp_path).done == 3


def test_rates_are_those_of_the_last_second(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("minidl.runs.job.time.monotonic", lambda: now[0])
    with job.running(tmp_path, job.Job("train")) as report:
        for seconds, done, rate in [
            (0, 0, 0),
            (2, 10, 5),
            (2, 14, 2),
            (0.1, 15, 2),
            (1.9, 15, 0.5),
        ]:
            now[0] += seconds
            report.progress(done, 20, "iterations", images=8, force=True)
            found = job.status(tmp_path)
            assert (found.rate, found.images) == (rate, rate * 8)


def test_a_full_disk_does_not_hide_what_went_wrong(tmp_path, monkeypatch):
    def full(*_):
        raise RunError("cannot be written: No space left on device")

    with pytest.raises(ValueError, match="the first"), job.running(tmp_path, job.Job("train")):
        monkeypatch.setattr(job, "write_status", full)
        raise ValueError("the first")


@pytest.mark.parametrize(
    "error, state", [(RunError("it broke"), job.FAILED), (KeyboardInterrupt(), job.STOPPED)]
)
def test_how_a_job_ended_is_said(tmp_path, error, state):
    with pytest.raises(type(error)), job.running(tmp_path, job.Job("train")):
        raise error
    found = job.status(tmp_path)
    assert found.state == state
    assert found.error == ({"type": "RunError", "message": "it broke"} if state == "failed" else {})


def test_what_the_block_said_stays(tmp_path):
    with job.running(tmp_path, job.Job("train")) as report:
        report.become(job.STOPPED)
    assert job.status(tmp_path).state == job.STOPPED


def test_what_people_said_of_a_job_stays_when_it_runs_again(tmp_path):
    with job.running(tmp_path, job.Job("train", ("train", "a"))):
        pass
    job.change(tmp_path, name="mine", notes="good", tags=("x",), group="g")
    with job.running(tmp_path, job.Job("train", ("train", "b"))):
        pass
    made = job.read(tmp_path)
    assert (made.name, made.notes, made.tags, made.group) == ("mine", "good", ("x",), "g")
    assert made.argv == ("train", "b")
    assert [s for s, _ in job.status(tmp_path).history] == ["running", "done"] * 2


@pytest.fixture
def other(tmp_path):
    """A process that is at work in tmp_path."""
    code = (
        "import sys, time; from minidl.runs import job\n"
        "with job.running(sys.argv[1], job.Job('train')): print('on', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "on\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_two_processes_do_not_work_in_one_folder(tmp_path, other):
    before = (tmp_path / job.STATUS).read_text()
    with pytest.raises(UsageError, match=f"process {other.pid} is at work") as info:
        with job.running(tmp_path, job.Job("train")):
            pytest.fail("both run")
    assert "minidl stop" in str(info.value)
    assert (tmp_path / job.STATUS).read_text() == before


def test_a_killed_job_is_interrupted(tmp_path, other):
    assert job.state(job.status(tmp_path)) == job.RUNNING
    found = job.status(tmp_path)
    assert processes.send(found.pid, found.started, signal.SIGKILL)
    other.wait()
    assert job.status(tmp_path).state == job.RUNNING
    assert job.state(job.status(tmp_path)) == job.INTERRUPTED
    with job.running(tmp_path, job.Job("train")):
        pass
    assert job.state(job.status(tmp_path)) == job.DONE


def test_a_number_that_was_given_again_is_another_process():
    mine = processes.token(os.getpid())
    assert processes.alive(os.getpid(), mine)
    assert not processes.alive(os.getpid(), mine + "1")
    assert not processes.send(os.getpid(), mine + "1", signal.SIGKILL)
    assert not processes.alive(os.getpid(), "")


def test_a_zombie_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", ""])
    found = processes.token(process.pid)
    deadline = time.monotonic() + 30
    while processes.alive(process.pid, found) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not processes.alive(process.pid, found)
    process.wait()


def test_needs_are_relative_so_that_a_tree_can_move(tmp_path):
    found = job.relative(tmp_path / "runs" / "a", {"data": tmp_path / "data"})
    assert found == {"data": "../../data"}


def test_a_reader_never_sees_half_a_file(tmp_path):
    job.write_status(tmp_path, job.Status())
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {job.STATUS}
    assert json.loads((tmp_path / job.STATUS).read_text())["format"] == job.STATUS_FORMAT


def test_a_job_that_a_page_has_begun_is_not_begun_twice(tmp_path):
    mine = {"pid": os.getpid(), "started": processes.token(os.getpid())}
    job.write_status(tmp_path, job.Status().became(job.RUNNING, **mine))
    with job.running(tmp_path, job.Job("train")):
        pass
    assert [state for state, _ in job.status(tmp_path).history] == [job.RUNNING, job.DONE]
