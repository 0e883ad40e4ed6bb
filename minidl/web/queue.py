"""Which job runs next, and where; jobs started, adopted, stopped, and put back in the queue.

Every fact is in the jobs' own files: a job waits if its status.json says so, `place` is where it
stands, `needs` is what it waits for. What is kept here is lost with the server, and nothing is
missed: a job is a process group of its own that goes on without it, and a later server knows it by
its number and the time it began.

Trainings share the slots of the CPU, or have a GPU each to themselves. Beside them one data set is
made at a time, and one evaluation or inspection.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minidl.errors import MinidlError, legible
from minidl.runs import job, processes, store
from minidl.web import files
from minidl.web.problems import Conflict, Refused

log = logging.getLogger("minidl.web")

COMMANDS = ("train", "dataset", "evaluate", "show")  # that a job.json may have the server start
BY_FLAG = {"allow-python", "import"}  # what runs code of others, and needs --allow-python
ANY = "any"  # of the GPUs, in a form
AGAIN = (job.PAUSED, job.STOPPED, job.ABORTED, job.FAILED, job.INTERRUPTED)
TAIL = 4000  # bytes of what a job has printed that may say why it failed
ALLOW_PYTHON = "MINIDL_ALLOW_PYTHON"

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Lanes:
    """How many jobs may run at a time, by lane: "cpu", "data", "look", and "gpu:N" of each GPU."""

    room: Mapping[str, int]

    @staticmethod
    def of(slots: int, gpus: Sequence[str] = ()) -> Lanes:
        return Lanes({"cpu": slots, "data": 1, "look": 1, **{f"gpu:{gpu}": 1 for gpu in gpus}})

    def choose(self, kind: str, device: str, used: Mapping[str, int]) -> str:
        """Return the lane in which a job can run now; "" if it has to wait.

        device   "cpu", "any", or the number of a GPU
        """
        if device == ANY:
            lanes = [lane for lane in self.room if lane.startswith("gpu:")]
        elif device != "cpu":
            lanes = [f"gpu:{device}"]
        else:
            lanes = [{"train": "cpu", "dataset": "data"}.get(kind, "look")]
        free = (lane for lane in lanes if used.get(lane, 0) < self.room.get(lane, 0))
        return next(free, "")


def lane_of(kind: str, device: str) -> str:
    """Return the lane that a running job takes."""
    if device not in ("cpu", ANY):
        return f"gpu:{device}"
    return {"train": "cpu", "dataset": "data"}.get(kind, "look")


@dataclass(frozen=True)
class Waiting:
    """A job that waits, and why: "" if only for its turn."""

    id: str
    kind: str
    device: str
    why: str = ""


def plan(
    waiting: Sequence[Waiting], running: Sequence[tuple[str, str]], lanes: Lanes
) -> list[tuple[str, str]]:
    """Return (id, lane) of the jobs to start now.

    waiting   in the order of their places; one that cannot run yet is passed by others
    running   (kind, device) of each
    """
    used = Counter(lane_of(kind, device) for kind, device in running)
    chosen = []
    for one in waiting:
        if one.why:
            continue
        if lane := lanes.choose(one.kind, one.device, used):
            used[lane] += 1
            chosen.append((one.id, lane))
    return chosen


def blocked(made: job.Job, folder: Path) -> str:
    """Return what a job waits for: another job that is not done; "" if for nothing."""
    for role, need in made.needs.items():
        path = Path(os.path.normpath(folder / need))
        if not path.is_dir():
            return f"{path.name} is not there"
        try:
            state = job.state(job.status(path))
        except MinidlError:
            continue  # no job: an older run, or a folder of pictures
        if role == "data":
            ready = state == job.DONE
        else:  # weights of a run that still goes on are weights
            ready = state not in (job.WAITING, job.RUNNING) or _has_weights(path)
        if not ready:
            return f"{path.name} is {state}"
    return ""


def _has_weights(run: Path) -> bool:
    with contextlib.suppress(OSError):
        return any(store.WEIGHTS.fullmatch(name) for name in os.listdir(run))
    return False


def device_of(made: job.Job) -> str:
    """Return the device that a job's words or its form name."""
    words = list(made.argv)
    for i, word in enumerate(words):
        name, _, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name == "gpu":
            return value or (words[i + 1] if i + 1 < len(words) else "cpu")
    return ANY if made.form.get("device") == ANY else "cpu"


@dataclass
class Queue:
    """The jobs of a root that wait and run.

    program        words before those of a command
    changed        is called when a status has been written
    allow_python   whether jobs may run code that a net names
    """

    root: Path
    program: Sequence[str]
    lanes: Lanes
    changed: Callable[[], None] = lambda: None
    allow_python: bool = False
    why: dict[str, str] = field(default_factory=dict)
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _last: float = 0.0
    _aims: dict[str, str] = field(default_factory=dict)  # what is to become of one that was stopped

    @property
    def busy(self) -> bool:
        """Whether a job that was started here runs."""
        return bool(self._started or self._aims)

    # ------------------------------------------------------------------ the clock

    def step(self, summaries: Mapping[str, Summary]) -> bool:
        """Take note of ends and start what can start; return whether a status was written."""
        ended = [name for name, process in self._started.items() if process.poll() is not None]
        for name in ended:
            process = self._started.pop(name)
            self._ended(name, process.returncode, process.pid)
        for name in self._aims.keys() - self._started.keys():  # of an earlier server, or a terminal
            found = self._status(name)
            if found is None or job.state(found) != job.RUNNING:
                self._ended(name, None, 0)
                ended.append(name)
        waiting, running = [], []
        for name, one in summaries.items():
            if one["adopted"] or one["state"] not in (job.WAITING, job.RUNNING):
                continue
            found = self._status(name)
            state = job.state(found) if found else ""
            if state == job.RUNNING:
                running.append((one["kind"], self._device(name)))
            elif state == job.WAITING:
                waiting.append((found.place, one["created"] or 0, name) if found else (0, 0, name))
        order = [self._waiting(name) for *_, name in sorted(waiting)]
        self.why = {one.id: one.why for one in order if one}
        begun = plan([one for one in order if one], running, self.lanes)
        for name, lane in begun:
            self._start(name, lane)
        return bool(ended or begun)

    def _status(self, name: str) -> job.Status | None:
        try:
            return job.status(self.root / name)
        except MinidlError:
            return None

    def _device(self, name: str) -> str:
        try:
            return device_of(job.read(self.root / name))
        except MinidlError:
            return "cpu"

    def _waiting(self, name: str) -> Waiting | None:
        folder = self.root / name
        try:
            made = job.read(folder)
        except MinidlError:
            return None
        why = blocked(made, folder) or refusal(made, self.allow_python)
        if name in self._started:
            why = why or "its last process has not ended yet"
        device = device_of(made)
        if not why and device != "cpu" and not self.lanes.choose(made.kind, device, {}):
            why = "there is no such GPU here"
        return Waiting(name, made.kind, device, why)

    # ------------------------------------------------------------------ processes

    def _start(self, name: str, lane: str) -> None:
        folder = self.root / name
        try:
            made = _placed(folder, lane)
            words = _again(folder, made, name)
            process = self._run(folder, words, (folder / made.cwd).resolve())
        except (OSError, MinidlError, ValueError) as error:
            found = job.status(folder)
            facts = {"type": type(error).__name__, "message": legible(str(error))}
            job.write_status(folder, found.became(job.FAILED, error=facts))
            return
        # Until the process says so itself, which takes it a moment.
        started = processes.token(process.pid)
        found = job.status(folder)
        if started and found.pid != process.pid:
            who: dict[str, Any] = {"pid": process.pid, "started": started}
            job.write_status(folder, found.became(job.RUNNING, error={}, at=0.0, **who))
        self._started[name] = process

    def _run(self, folder: Path, words: Sequence[str], cwd: Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if not self.allow_python:
            environment.pop(ALLOW_PYTHON, None)
        with open(folder / files.OUTPUT, "ab") as output:
            output.write(f"$ minidl {shlex.join(words)}\n".encode("utf-8", "replace"))
            output.flush()
            return subprocess.Popen(
                [*self.program, *words],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    def _ended(self, name: str, code: int | None, pid: int) -> None:
        """Say what became of a job whose process did not say so itself.

        code   it ended with; None where that is not known
        pid    of the process, if it was started here
        """
        folder, aim = self.root / name, self._aims.pop(name, "")
        found = self._status(name)
        if found is None or (pid and found.pid != pid):  # another process is at work there
            return
        if found.state == job.RUNNING:
            if aim == job.ABORTED:
                found = found.became(job.ABORTED)
            elif code == 0:
                found = found.became(job.DONE)
            elif code is not None and code > 0:
                facts = {"type": f"exit code {code}", "message": last_words(folder)}
                found = found.became(job.FAILED, error=facts)
            else:
                return  # killed by somebody else: interrupted
        elif aim == job.PAUSED and found.state == job.STOPPED:
            found = found.became(job.PAUSED)
        else:
            return
        with contextlib.suppress(MinidlError):
            job.write_status(folder, found)

    def leave(self) -> None:
        """Forget the processes; they go on."""
        for process in self._started.values():
            process.returncode = process.poll() or 0  # it is not waited for: no warning about it
        self._started.clear()

    # ------------------------------------------------------------------ what people ask

    def stop(self, name: str, how: str) -> None:
        """Stop a job: "stop", "after-epoch", "abort" or "pause". Errors: Conflict."""
        folder = self.root / name
        found = job.status(folder)
        state = job.state(found)
        if state == job.WAITING:
            became = {"pause": job.PAUSED, "abort": job.ABORTED}.get(how, job.STOPPED)
            job.write_status(folder, found.became(became))
        elif state == job.RUNNING:
            self._signal(name, found, how)
        elif how == "stop" and state == job.PAUSED:
            job.write_status(folder, found.became(job.STOPPED))
        else:
            raise Conflict(f"is {state}, so there is nothing to stop", where=name)
        self.changed()

    def _signal(self, name: str, found: job.Status, how: str) -> None:
        number: int = signal.SIGTERM
        if how == "abort":
            number = processes.KILL
        elif how == "after-epoch":
            number = processes.AFTER_EPOCH or 0
            if not number or job.read(self.root / name).kind != "train":
                raise Conflict("only a training run stops after an epoch", where=name)
            if not found.at:  # it may not listen yet, and the signal would end it
                raise Conflict("has only just begun: ask again in a moment", where=name)
        aims = {"pause": job.PAUSED, "abort": job.ABORTED}
        try:
            sent = processes.send(found.pid, found.started, number, group=how == "abort")
        except PermissionError:
            raise Conflict(f"process {found.pid} belongs to another user", where=name) from None
        if not sent:
            raise Conflict(f"process {found.pid} has just ended", where=name)
        if how in aims:
            self._aims[name] = aims[how]

    def resume(self, name: str) -> None:
        """Put a job into the queue again, behind all others. Errors: Conflict."""
        folder = self.root / name
        found = job.status(folder)
        state = job.state(found)
        if state not in AGAIN:
            raise Conflict(f"is {state}, so it cannot be resumed", where=name)
        made = job.read(folder)
        if why := refusal(made, self.allow_python):
            raise Conflict(why, where=name)
        job.write_status(folder, found.became(job.WAITING, place=self.last_place(), error={}))
        self.changed()

    def order(self, names: Sequence[str], summaries: Mapping[str, Summary]) -> None:
        """Let waiting jobs run in this order; those that are not named come after them."""
        waiting = self.waiting(summaries)
        wanted = [name for name in dict.fromkeys(names) if name in waiting]
        rest = [name for name in waiting if name not in wanted]
        for place, name in enumerate([*wanted, *rest], start=1):
            found = self._status(name)
            if found and found.state == job.WAITING and found.place != place:
                job.write_status(self.root / name, replace(found, place=place))
        self.changed()

    def last_place(self) -> float:
        """Return a place behind those of all jobs that wait."""
        self._last = max(time.time(), self._last + 0.001)
        return self._last

    def waiting(self, summaries: Mapping[str, Summary]) -> list[str]:
        """Return the ids of the jobs that wait, in their order."""
        found = [
            (one["place"], one["created"] or 0, name)
            for name, one in summaries.items()
            if one["state"] == job.WAITING and not one["adopted"]
        ]
        return [name for *_, name in sorted(found)]


def refusal(made: job.Job, allow_python: bool) -> str:
    """Return why the server does not run what a job.json says; "" if it does."""
    words = made.argv
    if not words or words[0] not in COMMANDS:
        return f"its command is not one of {', '.join(COMMANDS)}"
    flags = {
        word.lstrip("-").partition("=")[0].replace("_", "-") for word in words if word[:1] == "-"
    }
    if not allow_python and flags & {flag.lstrip("-") for flag in BY_FLAG}:
        return "it runs Python code of its own, which needs minidl serve --allow-python"
    return ""


def _placed(folder: Path, lane: str) -> job.Job:
    """Return a job, with the GPU that "any" has become in its words."""
    made = job.read(folder)
    if device_of(made) == ANY and lane.startswith("gpu:"):
        made = replace(made, argv=(*made.argv, "--gpu", lane.removeprefix("gpu:")))
        job.write(folder, made)
    return made


def _again(folder: Path, made: job.Job, name: str) -> list[str]:
    """Return the words that run a job: its own, or those that resume a run from a snapshot."""
    if made.kind != "train":
        return list(made.argv)
    where = os.path.relpath(folder, (folder / made.cwd).resolve())
    if any(store.STATE.fullmatch(file) for file in os.listdir(folder)):
        return ["train", "--resume", f"./{where}" if where.startswith("-") else where]
    if "--net" in made.argv:  # begun once, and without a snapshot: it begins again
        (folder / store.SOLVER).unlink(missing_ok=True)
    return list(made.argv)


def last_words(folder: Path) -> str:
    """Return the error that a job has printed last, else its last lines."""
    try:
        with open(folder / files.OUTPUT, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return "nothing was printed"
    _, found, error = text.rpartition("minidl: error: ")
    lines = (error if found else text).strip().splitlines()
    return legible("\n".join(lines if found else lines[-12:])) or "nothing was printed"


def create(folder: Path, made: job.Job, place: float, texts: Mapping[str, str]) -> None:
    """Write the files of a job that is to wait. `folder` is there, and empty."""
    for name, text in texts.items():
        if os.sep in name or name.startswith("."):
            raise Refused(f"'{name}' is not the name of a file")
        (folder / name).write_text(text, "utf-8")
    job.write(folder, made)
    job.write_status(folder, job.Status().became(job.WAITING, place=place))
