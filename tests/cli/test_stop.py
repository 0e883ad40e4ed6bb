"""minidl stop: what each way of stopping does to a process, and what there is to refuse."""

import os
import signal
import subprocess
import sys
import time

import pytest

from minidl.cli import main
from minidl.runs import job, processes

WORKS = """
import os, signal, sys, time
from minidl.runs import job
def leave(number, frame):
    raise SystemExit(number)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, leave)
with job.running(sys.argv[1], job.Job(sys.argv[2])):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def at_work(tmp_path):
    """A function that starts a job in a process group of its own; it returns it and a child."""
    started = []

    def begin(kind="train", own_group=True):
        words = [sys.executable, "-c", WORKS, str(tmp_path), kind]
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, start_new_session=own_group
        )
        child = int(process.stdout.readline())
        started.append((process, child))
        return process, child

    yield begin
    for process, child in started:
        process.kill()
        process.wait()
        process.stdout.close()
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass


def gone(pid):
    deadline = time.monotonic() + 30
    while processes.token(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not processes.token(pid)


@pytest.mark.parametrize(
    "flags, number, said",
    [
        ((), signal.SIGTERM, "was asked to stop\n"),
        (("--after-epoch",), signal.SIGUSR1, "was asked to stop when its epoch ends\n"),
    ],
)
def test_a_job_gets_the_signal(flags, number, said, at_work, tmp_path, capsys):
    process, _ = at_work()
    assert main(["stop", str(tmp_path), *flags]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: process {process.pid} {said}"
    assert process.wait(30) == number
    assert job.status(tmp_path).state == "stopped"


def test_an_aborted_job_is_killed_with_what_it_started(at_work, tmp_path, capsys, monkeypatch):
    process, child = at_work()
    # The process is this one's child: it is gone once it is waited for.
    original = processes.alive
    monkeypatch.setattr(processes, "alive", lambda *of: process.poll() is None and original(*of))
    assert main(["stop", str(tmp_path), "--abort"]) == 0
    assert process.wait(30) == -signal.SIGKILL and gone(child)
    assert job.state(job.status(tmp_path)) == "aborted"
    assert [state for state, _ in job.status(tmp_path).history] == ["running", "aborted"]


def test_a_group_that_it_does_not_lead_is_left_alone(at_work, tmp_path, capsys):
    """It is that of these tests: killed, it would end them."""
    process, child = at_work(own_group=False)
    assert main(["stop", str(tmp_path), "--abort"]) == 0
    assert process.wait(30) == -signal.SIGKILL
    assert processes.token(child)


def test_what_is_not_at_work_is_not_stopped(tmp_path, capsys):
    def refusal():
        assert main(["stop", str(tmp_path)]) == 2
        return capsys.readouterr().err

    assert "holds no status.json" in refusal()
    for state in ("done", "waiting", "failed"):
        job.write_status(tmp_path, job.Status(state))
        assert f"nothing is at work: this job is {state}" in refusal()
    job.write_status(tmp_path, job.Status("running", pid=os.getpid(), started="long ago"))
    assert f"process {os.getpid()} is gone" in refusal()


def test_only_training_has_epochs(at_work, tmp_path, capsys):
    process, _ = at_work("dataset")
    assert main(["stop", str(tmp_path), "--after-epoch"]) == 2
    assert "this is a job of minidl dataset" in capsys.readouterr().err
    assert process.poll() is None


def test_a_process_of_somebody_else_is_refused_in_words(at_work, tmp_path, capsys, monkeypatch):
    def refused(*_):
        raise PermissionError

    at_work()
    monkeypatch.setattr(processes.os, "kill", refused)
    assert main(["stop", str(tmp_path)]) == 2
    assert "belongs to another user" in capsys.readouterr().err


def test_one_way_at_a_time(tmp_path, capsys):
    assert main(["stop", str(tmp_path), "--abort", "--after-epoch"]) == 2
    assert "not allowed with" in capsys.readouterr().err
