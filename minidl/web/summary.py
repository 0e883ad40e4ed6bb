"""What the files of a job's folder say of it, in one dict: the SUMMARY of the JSON routes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minidl.errors import FormatError, MinidlError, UsageError
from minidl.runs import job, store
from minidl.web.tree import Entry

OVER = (job.DONE, job.STOPPED, job.ABORTED, job.FAILED, job.PAUSED, job.INTERRUPTED)
ACTIVE = (job.WAITING, job.RUNNING)
QUIET_S = 120.0  # an adopted run that has written nothing for so long does not run
KINDS = ("train", "dataset", "evaluate", "show")
LARGEST = 1 << 24  # bytes of a JSON file that is shown

Facts = Mapping[str, Any]


def of(root: Path, entry: Entry, curves: Facts | None = None) -> dict[str, Any]:
    """Return a job's summary.

    curves   `Figures.facts` of its event file, where known
    """
    found = _adopted(entry, curves) if entry.adopted else _of_job(root, entry)
    curves = curves or {}
    metrics = dict(curves.get("metrics", {}))
    if found["kind"] == "evaluate":
        metrics |= _figures_of_evaluation(entry)
    found |= {
        "metrics": metrics,
        "spark": curves.get("spark", []),
        "alarms": curves.get("alarms", 0),
        "epoch": curves.get("epoch"),
    }
    return found


def _of_job(root: Path, entry: Entry) -> dict[str, Any]:
    error: dict[str, str] = {}
    try:
        made = job.read(entry.folder)
    except UsageError:  # gone since
        made = job.Job("train")
    except FormatError as problem:
        made, error = job.Job("train"), _facts(problem)
    try:
        found = job.status(entry.folder)
    except UsageError:
        found = job.Status(state=job.STOPPED)
    except FormatError as problem:
        found, error = job.Status(state=job.FAILED), error or _facts(problem)
    state = job.FAILED if error else job.state(found)
    started, ended, elapsed = times(found, state)
    left = (found.total - found.done) / found.rate if found.rate > 0 else None
    return {
        "id": entry.id,
        "kind": made.kind,
        "name": made.name or entry.folder.name,
        "group": made.group,
        "tags": list(made.tags),
        "state": state,
        "created": made.created or _first(found),
        "started": started,
        "ended": ended,
        "elapsed": elapsed,
        "done": found.done,
        "total": found.total,
        "unit": found.unit,
        "rate": found.rate,
        "eta": round(max(0.0, left), 1) if left is not None and state == job.RUNNING else None,
        "memory": found.memory,
        "parents": parents(root, entry.folder, made),
        "adopted": False,
        "error": error or dict(found.error),
        "place": found.place,
    }


def _adopted(entry: Entry, curves: Facts | None) -> dict[str, Any]:
    """Return the summary of a run or a data set that no job.json describes."""
    facts = curves or {}
    changed = max((when for *_, when in entry.signature), default=0) / 1e9
    began, ended = facts.get("began") or changed, facts.get("ended") or changed
    state = job.DONE
    if entry.runs:
        state = _state_of_run(facts, changed)
    return {
        "id": entry.id,
        "kind": "train" if entry.runs else "dataset",
        "name": entry.folder.name,
        "group": "",
        "tags": [],
        "state": state,
        "created": began,
        "started": began,
        "ended": None if state == job.RUNNING else ended,
        "elapsed": round(ended - began, 3),
        "done": facts.get("iter", 0),
        "total": facts.get("max_iter", 0),
        "unit": "iterations" if entry.runs else "",
        "rate": 0,
        "eta": None,
        "memory": 0,
        "parents": {},
        "adopted": True,
        "error": {},
        "place": 0,
    }


def _state_of_run(facts: Facts, changed: float) -> str:
    by_event = {"end": job.DONE, "stop": job.STOPPED, "error": job.FAILED}
    last = str(facts.get("last_event", ""))
    if last in by_event:
        return by_event[last]
    if time.time() - changed < QUIET_S:
        return job.RUNNING
    return job.INTERRUPTED if last else job.DONE


def times(found: job.Status, state: str) -> tuple[float | None, float | None, float]:
    """Return when a job first ran, when it ended, and for how many seconds it has run in all."""
    started, since, elapsed = None, None, 0.0
    for what, when in found.history:
        if since is not None:
            elapsed, since = elapsed + when - since, None
        if what == job.RUNNING:
            started, since = started or when, when
    last = found.history[-1][1] if found.history else None
    if since is not None:  # it runs, or was killed
        last = time.time() if state == job.RUNNING else max(found.at, since)
        elapsed += last - since
    ended = last if state in OVER and started is not None else None
    return started, ended, round(max(0.0, elapsed), 3)


def parents(root: Path, folder: Path, made: job.Job) -> dict[str, str]:
    """Return the ids of the jobs that one needs, by role; a path for what is not below the root."""
    found = {}
    for role, need in made.needs.items():
        path = Path(os.path.normpath(folder / str(need)))
        found[role] = path.relative_to(root).as_posix() if root in path.parents else str(path)
    return found


def command(argv: tuple[str, ...] | list[str]) -> str:
    """Return a command line as people type it."""
    return shlex.join(["minidl", *argv]) if argv else ""


def _first(found: job.Status) -> float:
    return found.history[0][1] if found.history else found.at


def _facts(problem: MinidlError) -> dict[str, str]:
    return {"type": type(problem).__name__, "message": str(problem)}


def _figures_of_evaluation(entry: Entry) -> dict[str, Any]:
    """Return the figures of evaluation.json as metrics of one point each."""
    found = read_json(entry.folder / "evaluation.json") or {}
    metrics = {}
    for name in ("top1", "top5", "loss", "psnr", "map", "miou"):
        value = found.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            at = found.get("iter") or 0
            metrics[name] = dict.fromkeys(("last", "best", "min", "max"), value)
            metrics[name] |= {"best_iter": at, "iter": at}
    return metrics


# ---------------------------------------------------------------------- one job in full


def details(root: Path, entry: Entry, curves: Facts | None = None) -> dict[str, Any]:
    """Return what the page of one job shows beyond its summary: files, snapshots, history, ..."""
    found = of(root, entry, curves)
    made, status = job.Job(found["kind"]), job.Status()
    with contextlib.suppress(MinidlError):
        made = job.read(entry.folder)
    with contextlib.suppress(MinidlError):
        status = job.status(entry.folder)
    cwd = Path(os.path.normpath(entry.folder / made.cwd))
    found |= {
        "notes": made.notes,
        "argv": list(made.argv),
        "command": command(made.argv),
        "cwd": str(cwd),
        "form": dict(made.form),
        "versions": dict(made.versions),
        "history": _history(status),
        "status": {"pid": status.pid, "at": status.at, "state": status.state},
        "files": files(entry.folder),
        "snapshots": snapshots(entry.folder, (curves or {}).get("epoch_iters") or 0),
        "folder": str(entry.folder),
    }
    for name in ("dataset", "evaluation"):
        if (facts := read_json(entry.folder / f"{name}.json")) is not None:
            found[name] = facts
    return found


def _history(status: job.Status) -> list[list[Any]]:
    """Return the changes of state; one that the server and then the process wrote comes once."""
    found: list[list[Any]] = []
    for state, when in status.history:
        if not found or found[-1][0] != state:
            found.append([state, when])
    return found


def files(folder: Path) -> list[dict[str, Any]]:
    """Return the files of a folder, without those in its folders, by name."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as items:
        for item in items:
            with contextlib.suppress(OSError):
                facts = item.stat(follow_symlinks=False)
                if item.is_file(follow_symlinks=False) and not item.name.startswith("."):
                    size, when = facts.st_size, facts.st_mtime
                    found.append({"name": item.name, "bytes": size, "time": round(when, 3)})
    return sorted(found, key=lambda one: str(one["name"]))[:2000]


def snapshots(folder: Path, epoch_iters: float = 0) -> list[dict[str, Any]]:
    """Return the snapshots of a run by iteration, each with its files."""
    found: dict[int, dict[str, Any]] = {}
    for file in files(folder):
        for kind, pattern in (("weights", store.WEIGHTS), ("state", store.STATE)):
            if match := pattern.fullmatch(file["name"]):
                one = found.setdefault(int(match.group(1)), {"weights": None, "state": None})
                one[kind] = file["name"]
                one["bytes"] = one.get("bytes", 0) + file["bytes"]
                one["time"] = max(one.get("time", 0), file["time"])
    return [
        {
            "iter": iteration,
            "epoch": round(iteration / epoch_iters, 3) if epoch_iters else None,
            **one,
        }
        for iteration, one in sorted(found.items())
    ]


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; None where it is absent, large, or no JSON."""
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST + 1)
        return json.loads(text) if len(text) <= LARGEST else None
    except (OSError, ValueError, RecursionError):
        return None
