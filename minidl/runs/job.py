"""What a folder is for, and what has become of it: job.json and status.json.

A command that takes a while (train, dataset, evaluate, ...) leaves both in the folder it writes
to, so that other programs find it, see how it goes, stop it, and can do it again:

    with job.running(folder, job.Job("train", argv, needs={"data": "data/pets"})) as status:
        status.progress(done, total, "iterations")

job.json      what was asked: `Job`; people change its name, group, notes and tags
status.json   what the process says of itself: `Status`

Both are replaced whole. A process that was killed leaves "running" behind; `state` then says
"interrupted", for its process is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from minidl.errors import FormatError, RunError, UsageError
from minidl.runs import processes

JOB, STATUS = "job.json", "status.json"
FORMAT, STATUS_FORMAT = "minidl job 1", "minidl status 1"
LARGEST = 1 << 22  # bytes of either file

WAITING, RUNNING, PAUSED = "waiting", "running", "paused"
DONE, STOPPED, ABORTED, FAILED = "done", "stopped", "aborted", "failed"
INTERRUPTED = "interrupted"  # never written: it is what `state` says of a dead process
EVERY_S = 1.0  # between two reports of progress
SOON_S = 0.2  # too short a time to tell a rate


@dataclass(frozen=True)
class Job:
    """What a folder was made for.

    kind            the command: "train", "dataset", "evaluate", ...
    argv            words of the command line after `minidl`
    cwd             where it runs, relative to the folder
    name            what people call it; the folder's name by default
    needs           folders of other jobs that this one reads, relative to the folder, by role:
                    {"data": "../pets", "weights": "../lenet"}
    form            what a page's form held, to fill it in again
    versions        of Python and minidl
    created         seconds since 1970
    """

    kind: str
    argv: tuple[str, ...] = ()
    cwd: str = "."
    name: str = ""
    group: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0


@dataclass(frozen=True)
class Status:
    """How a job stands.

    state      what was last written; `state` of the module knows better
    pid        of the process that runs it or ran it last, and `started`, its token
    history    (state, seconds since 1970) of every change, oldest first
    done, total, unit   progress, in units such as "iterations" or "pictures"
    rate       units a second, lately
    images     images a second, lately, of a job that counts its work in batches of them
    at         seconds since 1970 of the last report
    memory     bytes that the process holds
    place      in the queue: lower ones first
    error      class and message of what ended it, if it failed
    """

    state: str = WAITING
    pid: int = 0
    started: str = ""
    history: tuple[tuple[str, float], ...] = ()
    done: float = 0
    total: float = 0
    unit: str = ""
    rate: float = 0
    images: float = 0
    at: float = 0
    memory: int = 0
    place: float = 0
    error: Mapping[str, str] = field(default_factory=dict)

    def became(self, state: str, **changes: Any) -> Status:
        """Return the status after a change of state, which its history keeps."""
        return replace(
            self, state=state, history=(*self.history, (state, round(time.time(), 3))), **changes
        )


# ---------------------------------------------------------------------- reading and writing


def read(folder: str | os.PathLike[str]) -> Job:
    """Return the job of a folder. Errors: FormatError; UsageError where there is none."""
    return Job(**_read(Path(folder, JOB), FORMAT, Job))


def status(folder: str | os.PathLike[str]) -> Status:
    """Return what a folder's status.json says. Errors: those of `read`."""
    found = _read(Path(folder, STATUS), STATUS_FORMAT, Status)
    found["history"] = tuple((str(what), float(when)) for what, when in found.get("history", ()))
    return Status(**found)


def state(found: Status) -> str:
    """Return the state of a job: "interrupted" where it should run but its process is gone."""
    if found.state == RUNNING and not processes.alive(found.pid, found.started):
        return INTERRUPTED
    return found.state


def write(folder: str | os.PathLike[str], job: Job) -> None:
    """Replace job.json."""
    _write(Path(folder, JOB), {"format": FORMAT, **asdict(job)})


def write_status(folder: str | os.PathLike[str], found: Status) -> None:
    """Replace status.json."""
    _write(Path(folder, STATUS), {"format": STATUS_FORMAT, **asdict(found)})


def change(folder: str | os.PathLike[str], **changes: Any) -> Job:
    """Replace fields of a folder's job.json: name, group, notes, tags; return the new job."""
    job = replace(read(folder), **changes)
    write(folder, job)
    return job


_TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "tuple[str, ...]": list,
    "tuple[tuple[str, float], ...]": list,
    "Mapping[str, str]": dict,
    "Mapping[str, Any]": dict,
}


def _read(path: Path, form: str, kind: type) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        found = json.loads(text) if len(text) <= LARGEST else None
        if not isinstance(found, dict) or found.pop("format", None) != form:
            raise ValueError(f'"format": "{form}" is missing')
        known = {f.name: f for f in fields(kind)}
        values = {name: value for name, value in found.items() if name in known}
        for name, value in values.items():
            if not isinstance(value, _TYPES[str(known[name].type)]):
                raise ValueError(f"{name} has a value of another type")
        if kind is Job and "kind" not in values:
            raise ValueError('"kind" is missing')
        return {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"is not one of minidl's: {error}", where=str(path)) from None


def _write(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file whole, in a moment: no sync, for it is written every second."""
    name = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        try:
            with open(name, "w", encoding="utf-8") as file:
                json.dump(values, file, indent=1)
            os.replace(name, path)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunError(f"cannot be written: {error.strerror or error}", where=str(path)) from None


# ---------------------------------------------------------------------- running


class Report:
    """What a running job says of itself."""

    def __init__(self, folder: Path, found: Status) -> None:
        self._folder, self._status = folder, found
        self._next = 0.0
        self._last: tuple[float, float] | None = None

    def progress(
        self, done: float, total: float, unit: str, images: int = 0, force: bool = False
    ) -> None:
        """Write how far it is, once a second at most. A full disk does not stop the job.

        images    in one unit
        """
        now = time.monotonic()
        if now < self._next and not force:
            return
        self._next = now + EVERY_S
        rate = self._rate(now, done)
        self._status = replace(
            self._status,
            done=done,
            total=total,
            unit=unit,
            rate=round(rate, 3),
            images=round(rate * images, 1),
            at=round(time.time(), 3),
            memory=_memory(),
        )
        with contextlib.suppress(RunError):
            write_status(self._folder, self._status)

    def _rate(self, now: float, done: float) -> float:
        """Return units a second since the last report; soon after it, what was said then."""
        last = self._last
        if last is not None and now - last[0] < SOON_S:
            return self._status.rate
        self._last = (now, done)
        return max((done - last[1]) / (now - last[0]), 0.0) if last else 0.0

    def become(self, state: str, **changes: Any) -> None:
        """Write a change of state."""
        self._status = self._status.became(state, **changes)
        write_status(self._folder, self._status)

    @property
    def state(self) -> str:
        return self._status.state


@contextlib.contextmanager
def running(folder: str | os.PathLike[str], job: Job) -> Iterator[Report]:
    """Keep job.json and status.json of a folder while a job runs in this process.

    A job.json that a page or an earlier run left keeps its name, group, notes, tags, form and
    time. The job ends as "done", as "failed" with an error, as "stopped" by a signal, or as what
    the block said with `become`. Errors: UsageError if another process is at work in this folder.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    before = _before(place)
    if before.pid != os.getpid() and state(before) == RUNNING:
        raise UsageError(
            f"process {before.pid} is at work in this folder",
            where=str(place),
            fix=f"minidl stop {place}, or another folder",
        )
    write(place, _merged(place, job))
    report = Report(place, before)
    mine = {"pid": os.getpid(), "started": processes.token(os.getpid())}
    if (before.state, before.pid, before.started) != (RUNNING, *mine.values()):  # not said yet
        report.become(RUNNING, error={}, **mine)
    try:
        yield report
    except Exception as error:
        with contextlib.suppress(RunError):  # a full disk: what went wrong first is raised
            report.become(FAILED, error={"type": type(error).__name__, "message": str(error)})
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        with contextlib.suppress(RunError):
            report.become(STOPPED)
        raise
    if report.state == RUNNING:
        report.become(DONE)


def _before(folder: Path) -> Status:
    with contextlib.suppress(UsageError, FormatError):
        return status(folder)
    return Status()


def _merged(folder: Path, job: Job) -> Job:
    """Return the job with what people have said of the one before."""
    merged = replace(
        job,
        name=job.name or folder.resolve().name,
        cwd=os.path.relpath(os.getcwd(), folder.resolve()),
        created=job.created or round(time.time(), 3),
    )
    try:
        old = read(folder)
    except (UsageError, FormatError):
        return merged
    if old.argv == merged.argv:  # begun again: what was known of its needs still holds
        merged = replace(merged, needs={**old.needs, **merged.needs})
    kept = ("name", "group", "notes", "tags", "form", "created")
    return replace(merged, **{name: getattr(old, name) for name in kept if getattr(old, name)})


def relative(
    folder: str | os.PathLike[str], paths: Mapping[str, str | os.PathLike[str]]
) -> dict[str, str]:
    """Return the `needs` of a job in `folder`: paths relative to it, by role."""
    here = Path(folder).resolve()
    return {
        role: Path(os.path.relpath(Path(path).resolve(), here)).as_posix()
        for role, path in paths.items()
    }


def _memory() -> int:
    """Return the bytes of memory that this process holds; 0 where that is not known."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
