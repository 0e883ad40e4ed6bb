"""The queue: its choice against a simple oracle, its files as a state machine, real processes."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minidl.runs import job, processes
from minidl.web import queue, summary
from minidl.web.problems import Conflict
from minidl.web.queue import Lanes, Queue, Waiting, plan
from minidl.web.tree import Tree
from tests.web.conftest import STUB, ended
from tests.web.making import make, until

# ---------------------------------------------------------------------- what is to start

KINDS = st.sampled_from(["train", "dataset", "evaluate", "show"])
DEVICES = st.sampled_from(["cpu", "cpu", "0", "1", "any"])


def oracle(waiting, running, slots, gpus):
    """Go over the queue once with a pile of tokens: take one, or wait."""
    tokens = ["cpu"] * slots + ["data", "look"] + [f"gpu:{gpu}" for gpu in gpus]
    own = {"train": "cpu", "dataset": "data", "evaluate": "look", "show": "look"}
    for kind, device in running:
        token = own[kind] if device in ("cpu", "any") else f"gpu:{device}"
        if token in tokens:
            tokens.remove(token)
    started = []
    for one in waiting:
        if one.why:
            continue
        if one.device == "cpu":
            wanted = own[one.kind]
        elif one.device == "any":
            wanted = next((token for token in tokens if token.startswith("gpu")), "none")
        else:
            wanted = f"gpu:{one.device}"
        if wanted in tokens:
            tokens.remove(wanted)
            started.append((one.id, wanted))
    return started


@given(
    st.lists(st.builds(Waiting, st.uuids().map(str), KINDS, DEVICES, st.sampled_from(["", "x"]))),
    st.lists(st.tuples(KINDS, DEVICES), max_size=6),
    st.integers(1, 3),
    st.sampled_from([[], ["0"], ["0", "1"]]),
)
def test_what_starts_is_what_a_pile_of_tokens_gives(waiting, running, slots, gpus):
    found = plan(waiting, running, Lanes.of(slots, gpus))
    assert found == oracle(waiting, running, slots, gpus)


# ---------------------------------------------------------------------- files as a state machine


class Process:
    """In the place of a process that the queue has started; the test says when it ends."""

    def __init__(self, pid):
        self.pid, self.code, self.returncode = pid, None, None

    def poll(self):
        self.returncode = self.code
        return self.code


class Machine(RuleBasedStateMachine):
    """Jobs asked for, ended, killed, stopped, paused, resumed and put in order, in any order; a
    dict of states beside the files says what should have become of each."""

    @initialize()
    def begin(self):
        import tempfile
        from pathlib import Path

        self.place = tempfile.TemporaryDirectory()
        self.root = Path(self.place.name).resolve()
        self.states: dict[str, str] = {}
        self.aims: dict[str, str] = {}
        self.order: list[str] = []
        self.alive: dict[int, str] = {}
        self.listening: set[int] = set()
        self.next = 1000
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(processes, "token", lambda pid: f"t{pid}" if pid in self.alive else "")
        self.patch.setattr(processes, "send", self.send)
        self.server()

    def server(self):
        self.queue = Queue(self.root, ("minidl",), Lanes.of(1))
        self.queue._run = self.run_one  # type: ignore[method-assign]

    def run_one(self, folder, words, cwd):
        self.next += 1
        self.alive[self.next] = folder.name
        return Process(self.next)

    def send(self, pid, started, number, group=False):
        if pid not in self.alive:
            return False
        if number in (signal.SIGTERM, processes.AFTER_EPOCH):  # it says what became of it
            folder = self.root / self.alive[pid]
            job.write_status(folder, job.status(folder).became(job.STOPPED))
            self.end(pid, 143)
        else:
            self.end(pid, -9)
        return True

    def end(self, pid, code):
        name = self.alive.pop(pid)
        process = self.queue._started.get(name)
        if process is not None:
            process.code = code
        return name

    def summaries(self):
        found = Tree(self.root)
        found.look()
        return {name: summary.of(self.root, entry) for name, entry in found.entries.items()}

    def named(self, *states):
        return sorted(name for name, state in self.states.items() if state in states)

    # ------------------------------------------------------------------ rules

    @rule()
    def ask(self):
        if len(self.states) > 5:
            return
        name = f"job{len(self.states)}"
        folder = self.root / name
        folder.mkdir()
        made = job.Job("train", ("train", "x"), cwd="..")
        queue.create(folder, made, self.queue.last_place(), {})
        self.states[name] = "waiting"
        self.order.append(name)

    @rule()
    def step(self):
        self.queue.step(self.summaries())
        for name, aim in list(self.aims.items()):
            self.states[name] = aim
        self.aims.clear()
        if not self.named("running") and self.order:
            name = self.order.pop(0)
            self.states[name] = "running"

    @precondition(lambda self: self.named("running"))
    @rule()
    def progress(self):
        """The process writes how far it is; from then on it listens to signals."""
        (name,) = self.named("running")
        found = job.status(self.root / name)
        job.write_status(self.root / name, replace(found, at=1.0))
        self.listening.add(found.pid)

    @precondition(lambda self: self.named("running"))
    @rule(code=st.sampled_from([0, 1, -9, "done"]))
    def end_one(self, code):
        (name,) = self.named("running")
        (pid,) = [pid for pid, other in self.alive.items() if other == name]
        known = name in self.queue._started
        if code == "done":
            job.write_status(self.root / name, job.status(self.root / name).became(job.DONE))
        self.end(pid, 0 if code == "done" else code)
        if code == "done":
            self.states[name] = "done"
        elif known and code in (0, 1):
            self.aims[name] = "done" if code == 0 else "failed"
            self.states[name] = "interrupted"  # until the queue takes note
        else:
            self.states[name] = "interrupted"

    @precondition(lambda self: self.named("running", "waiting"))
    @rule(data=st.data(), how=st.sampled_from(["stop", "pause", "abort", "after-epoch"]))
    def stop(self, data, how):
        name = data.draw(st.sampled_from(self.named("running", "waiting")))
        aims = {"pause": "paused", "abort": "aborted"}
        was = self.states[name]
        if was == "running" and how == "after-epoch":
            if job.status(self.root / name).pid not in self.listening:
                with pytest.raises(Conflict, match="only just begun"):
                    self.queue.stop(name, how)
                return
        self.queue.stop(name, how)
        if was == "waiting":
            self.order.remove(name)
            self.states[name] = aims.get(how, "stopped")
        elif how == "abort":
            self.states[name], self.aims[name] = "interrupted", "aborted"
        else:
            self.states[name] = "stopped"
            if how == "pause":
                self.aims[name] = "paused"

    @precondition(lambda self: set(self.states) - set(self.aims))
    @rule(data=st.data())
    def resume(self, data):
        name = data.draw(st.sampled_from(sorted(set(self.states) - set(self.aims))))
        if self.states[name] in ("waiting", "running", "done"):
            with pytest.raises(Conflict):
                self.queue.resume(name)
            return
        self.queue.resume(name)
        self.states[name] = "waiting"
        self.order.append(name)

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def reorder(self, data):
        wanted = data.draw(st.permutations(self.order))[: data.draw(st.integers(0, 6))]
        self.queue.order([*wanted, "nobody"], self.summaries())
        self.order = [*wanted, *(name for name in self.order if name not in wanted)]

    @rule()
    def another_server(self):
        """The server is killed: what it meant to note of ends is lost; the files are not."""
        self.server()
        self.aims.clear()

    # ------------------------------------------------------------------ what holds

    @invariant()
    def the_files_say_what_became_of_each(self):
        if hasattr(self, "states"):
            found = {name: one["state"] for name, one in self.summaries().items()}
            assert found == self.states
            assert self.queue.waiting(self.summaries()) == self.order

    def teardown(self):
        if hasattr(self, "patch"):
            self.patch.undo()
            self.place.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# ---------------------------------------------------------------------- real processes


class Running:
    """A queue over a root, stepped by hand."""

    def __init__(self, root):
        self.root = root
        self.tree = Tree(root)
        self.queue = Queue(root, STUB, Lanes.of(1))

    def step(self):
        self.queue.step(self.summaries())

    def summaries(self):
        self.tree.look()
        return {n: summary.of(self.root, e) for n, e in self.tree.entries.items()}

    def state(self, name):
        self.step()
        return self.summaries()[name]["state"]

    def becomes(self, name, state):
        until(lambda: self.state(name) == state)


@pytest.fixture
def running(root):
    found = Running(root)
    yield found
    ended(root)
    for process in found.queue._started.values():
        process.wait(20)
    found.queue.leave()


def ask(root, name, kind="train", *more, **facts):
    """A job of stub.py that waits."""
    argv = (kind, *(more or ("ok",)), "--out", name)
    place = facts.pop("place", 0)
    cwd = os.path.relpath(root, root / name)
    return make(
        root / name, kind, job.WAITING, argv=argv, cwd=cwd, status={"place": place}, **facts
    )


def at_work(folder):
    """Whether the process itself has said that it runs."""
    return job.status(folder).done > 0


def test_a_job_runs_to_its_end(root, running):
    folder = ask(root, "runs/a")
    running.becomes("runs/a", "running")
    until(lambda: at_work(folder))
    (folder / "finish").touch()
    running.becomes("runs/a", "done")
    assert (folder / "output.txt").read_text().startswith("$ minidl train ok --out runs/a\n")
    until(lambda: running.step() or not running.queue.busy)


def test_jobs_come_one_after_the_other_by_their_place(root, running):
    ask(root, "late", place=2)
    first = ask(root, "early", place=1)
    running.becomes("early", "running")
    assert running.state("late") == "waiting"
    until(lambda: at_work(first))
    (first / "finish").touch()
    running.becomes("late", "running")


def test_a_job_waits_for_the_data_that_it_needs(root, running):
    data = ask(root, "data", "dataset", place=2)
    ask(root, "run", needs={"data": "../data"}, place=1)
    running.becomes("data", "running")
    assert running.state("run") == "waiting"
    assert running.queue.why["run"] == "data is running"
    until(lambda: at_work(data))
    (data / "break").touch()
    running.becomes("data", "failed")
    assert running.state("run") == "waiting" and running.queue.why["run"] == "data is failed"
    (data / "break").unlink()
    (data / "finish").touch()
    running.queue.resume("data")
    running.becomes("run", "running")


def test_a_command_that_is_refused_says_why(root, running):
    ask(root, "run", "train", "refuse")
    running.becomes("run", "failed")
    error = job.status(root / "run").error
    assert error["message"] == "the pictures are not there\n  fix: take others"


def test_the_end_of_a_process_says_nothing_of_another_ones_work(root, running):
    folder = ask(root, "run", "train", "refuse")
    running.step()
    make(root / "run", state=job.RUNNING)  # somebody has begun it in a terminal
    running.queue._started["run"].wait(20)
    assert running.state("run") == "running"
    job.write_status(folder, job.Status())


def test_a_program_that_is_not_there_fails(root, running):
    ask(root, "run")
    running.queue.program = ("/nowhere/python",)
    running.becomes("run", "failed")
    assert "No such file" in job.status(root / "run").error["message"]


def test_pause_keeps_a_snapshot_and_resume_goes_on_from_it(root, running):
    folder = ask(root, "runs/a")
    running.becomes("runs/a", "running")
    until(lambda: at_work(folder))
    running.queue.stop("runs/a", "pause")
    running.becomes("runs/a", "paused")
    running.queue.resume("runs/a")
    running.becomes("runs/a", "running")
    until(lambda: "--resume runs/a" in (folder / "output.txt").read_text())


def test_abort_kills_the_whole_group_and_says_so(root, running):
    folder = ask(root, "run", "train", "child")
    running.becomes("run", "running")
    until(lambda: at_work(folder))
    pid = job.status(folder).pid
    assert os.getpgid(pid) == pid != os.getpgid(0)
    running.queue.stop("run", "abort")
    running.becomes("run", "aborted")
    assert not processes.token(pid)
    child = int((folder / "child").read_text())
    until(lambda: not processes.token(child))


def test_a_job_that_is_killed_is_interrupted(root, running):
    folder = ask(root, "run")
    running.becomes("run", "running")
    until(lambda: at_work(folder))
    os.kill(job.status(folder).pid, signal.SIGKILL)
    running.becomes("run", "interrupted")


def test_a_job_goes_on_without_the_server_and_a_later_one_knows_it(root, running):
    folder = ask(root, "run")
    ask(root, "next", place=1)
    running.becomes("run", "running")
    until(lambda: at_work(folder))
    first, running.queue = running.queue, Queue(root, STUB, Lanes.of(1))
    assert running.state("run") == "running" and running.state("next") == "waiting"
    running.queue.stop("run", "pause")
    process = first._started["run"]
    process.wait(20)
    running.becomes("run", "paused")
    running.becomes("next", "running")


def test_what_has_ended_cannot_be_stopped(root, running):
    make(root / "run", state=job.DONE)
    for how in ("stop", "pause", "abort"):
        with pytest.raises(Conflict):
            running.queue.stop("run", how)


def test_only_training_stops_after_an_epoch(root, running):
    folder = ask(root, "data", "dataset")
    running.becomes("data", "running")
    until(lambda: at_work(folder))
    with pytest.raises(Conflict, match="epoch"):
        running.queue.stop("data", "after-epoch")


def test_a_run_that_may_not_listen_yet_is_not_asked_to_stop_after_its_epoch(root, running):
    folder = root / "runs" / "a"
    ask(root, "runs/a")
    mine = {"pid": os.getpid(), "started": processes.token(os.getpid())}
    job.write_status(folder, job.status(folder).became(job.RUNNING, **mine))
    with pytest.raises(Conflict, match="only just begun"):  # the signal would end this process
        running.queue.stop("runs/a", "after-epoch")


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("run", "evil.py"),
        ("train", "x", "--allow-python"),
        ("train", "x", "-allow_python=1"),
        ("train", "x", "--import", "evil"),
        ("--import=evil", "train", "x"),
    ],
)
def test_a_folder_from_elsewhere_runs_no_code_of_its_own(root, running, argv):
    make(root / "run", state=job.WAITING, argv=argv, cwd="..")
    assert running.state("run") == "waiting" and running.queue.why["run"]
    job.write_status(root / "run", job.Status().became(job.STOPPED))
    with pytest.raises(Conflict):
        running.queue.resume("run")


def test_python_layers_are_off_in_jobs_whatever_the_server_was_started_with(root, monkeypatch):
    monkeypatch.setenv(queue.ALLOW_PYTHON, "1")
    seen = []

    def popen(words, env=None, **options):
        seen.append(env)
        raise OSError("enough")

    monkeypatch.setattr(subprocess, "Popen", popen)
    for allowed in (False, True):
        folder = ask(root, f"run{allowed}")
        found = Running(root)
        found.queue.allow_python = allowed
        found.step()
        assert job.status(folder).state == "failed"
    assert [queue.ALLOW_PYTHON in env for env in seen] == [False, True]


def test_any_gpu_becomes_the_one_that_is_free(root, monkeypatch):
    ask(root, "run", form={"device": "any"})
    found = Running(root)
    assert found.state("run") == "waiting" and "GPU" in found.queue.why["run"]
    found.queue.lanes = Lanes.of(1, ["0", "1"])
    busy = make(root / "busy", state=job.RUNNING, argv=("train", "x", "--gpu=0"))
    monkeypatch.setattr(Queue, "_run", lambda *a: (_ for _ in ()).throw(OSError("enough")))
    found.step()
    assert job.read(root / "run").argv[-2:] == ("--gpu", "1")
    assert busy.is_dir()
