"""An evaluation from its first record to its files."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import UsageError
from minidl.evaluation import records, task
from minidl.evaluation.classes import Classes
from minidl.evaluation.subject import Subject
from minidl.runs import job
from minidl.storage import files

NAME, FORMAT = "evaluation.json", "minidl evaluation 1"
CONFUSION, SCORES = "confusion.csv", "scores.npy"


def evaluate(
    subject: Subject,
    out: str | os.PathLike[str],
    *,
    run: str | os.PathLike[str] = "",
    scores: bool = False,
    force: bool = False,
    tick: Callable[[int], object] = lambda done: None,
) -> dict[str, Any]:
    """Put all records of a subject before its net; write what came of it, and return it.

    out      folder for evaluation.json, predictions.csv, records.npy, confusion.csv
    run      folder of the run, to be named in evaluation.json
    scores   write scores.npy, too: all outputs, a row for each record
    force    replace an evaluation that is there
    tick     called with the number of records that are done, after each batch

    Errors: UsageError where `out` holds an evaluation, and for a net of another task.
    """
    folder = Path(out)
    refuse_existing(folder, force)
    own = any((folder / name).exists() for name in (NAME, job.JOB))
    folder.mkdir(parents=True, exist_ok=True)
    collector = collector_of(subject)
    kept = Scores(folder, subject.records) if scores else None
    began, done = time.monotonic(), 0
    with files.replacing(folder / records.TABLE, own=own) as file:
        writer = records.Writer(file, collector.columns, collector.dtype)
        for batch in subject.batches():
            rows, numbers = collector.add(batch)
            writer.add(rows, numbers)
            if kept is not None:
                kept.add(batch.output)
            done += len(batch.names)
            tick(done)
    seconds = time.monotonic() - began
    writer.write_numbers(folder)
    if kept is not None:
        kept.close()
    result = {
        "format": FORMAT,
        "task": subject.task.kind,
        "run": _relative(run, folder) if run else "",
        "iter": subject.iter if subject.iter >= 0 else None,
        "weights": _relative(subject.weights, folder),
        "split": subject.split,
        "records": done,
        "left_out": subject.left_out,
        "labels": subject.labels,
        **collector.result(),
        "origin": {
            "kind": subject.origin.kind,
            "path": _relative(subject.origin.path, folder) if subject.origin.path else "",
        },
        "seconds": round(seconds, 3),
        "rate": round(done / seconds, 1) if seconds else None,
    }
    if result.get("per_class"):
        _write_confusion(folder / CONFUSION, collector.confusion, subject.labels)
    files.write_all(folder / NAME, [to_json(result).encode("utf-8", "surrogateescape")], own=True)
    return result


def refuse_existing(folder: Path, force: bool) -> None:
    """Refuse a folder that holds an evaluation, unless it may be replaced."""
    if (folder / NAME).exists() and not force:
        raise UsageError(
            "holds an evaluation already", where=str(folder), fix="--out with another, or --force"
        )


def collector_of(subject: Subject) -> Any:
    """Return what counts a subject's answers, by its task."""
    what = subject.task
    if what.kind == task.CLASSES:
        return Classes(subject.labels, what.then == "softmax", what.ignore)
    raise UsageError(
        f"answers a {what.kind} task",
        where=f"net '{subject.net.name}'",
        expected="a net that answers with classes",
    )


def to_json(result: dict[str, Any]) -> str:
    """Return an entry a line; numbers that are not finite, which JSON lacks, become null."""
    lines = [
        f" {json.dumps(k)}: {json.dumps(_finite(v), allow_nan=False)}" for k, v in result.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Scores:
    """All outputs as scores.npy, written as they come."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count, self._done = folder, count, 0
        self._array: Any = None

    def add(self, output: np.ndarray) -> None:
        if self._array is None:
            shape = (self._count, *output.shape[1:])
            part = self._folder / f".{SCORES}"
            self._array = np.lib.format.open_memmap(part, "w+", output.dtype, shape)
        self._array[self._done : self._done + len(output)] = output
        self._done += len(output)

    def close(self) -> None:
        if self._array is None:
            return
        self._array.flush()
        part = self._folder / f".{SCORES}"
        if self._done == self._count:
            os.replace(part, self._folder / SCORES)
            return
        with files.replacing(self._folder / SCORES, own=True) as file:  # some were left out
            np.save(file, self._array[: self._done])
        part.unlink()


def _relative(path: str | os.PathLike[str], folder: Path) -> str:
    return Path(os.path.relpath(os.path.abspath(path), os.path.abspath(folder))).as_posix()


def _write_confusion(path: Path, confusion: np.ndarray, labels: list[str]) -> None:
    names = [records.guarded(label) for label in labels]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["truth", *names])
    for name, row in zip(names, confusion.tolist(), strict=True):
        table.writerow([name, *row])
    files.write_all(path, [text.getvalue().encode("utf-8", "surrogateescape")], own=True)
