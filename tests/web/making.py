"""Job folders for tests, and patience."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from minidl.runs import job, processes

WAIT_S = 30.0


def make(folder: Path, kind: str = "train", state: str = job.DONE, **facts) -> Path:
    """A job folder; `status` in facts are fields of status.json."""
    folder.mkdir(parents=True, exist_ok=True)
    status = facts.pop("status", {})
    facts.setdefault("argv", (kind, "ok", "--out", folder.name))
    job.write(folder, job.Job(kind, **facts))
    if state == job.RUNNING:
        own = {"pid": os.getpid(), "started": processes.token(os.getpid())}
        status = {**own, **status}
    found = job.Status().became(job.WAITING)
    for step in [state] if state in (job.WAITING, job.RUNNING) else [job.RUNNING, state]:
        found = found.became(step, **status) if step != job.WAITING else found
    if state == job.WAITING:
        found = job.Status(**status).became(job.WAITING)
    job.write_status(folder, found)
    return folder


def events(folder: Path, *lines: dict | str) -> Path:
    """Append lines to a folder's events.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "events.jsonl"
    with open(path, "a", encoding="utf-8") as file:
        for line in lines:
            file.write(line if isinstance(line, str) else json.dumps(line) + "\n")
    return path


def display(i: int, loss: float | None, **more) -> dict:
    return {
        "event": "display",
        "time": 1000.0 + i,
        "iter": i,
        "loss": loss,
        "lr": 0.1,
        "outputs": {},
        **more,
    }


def test_of(i: int, **outputs) -> dict:
    return {"event": "test", "time": 1000.5 + i, "iter": i, "net": 0, "outputs": outputs}


test_of.__test__ = False  # type: ignore[attr-defined]  (pytest: this is no test)


def until(what, seconds: float = WAIT_S):
    """Return the first true value of a function, asked again and again."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found
