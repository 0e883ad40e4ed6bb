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
from minidl.evaluation.boxes import Boxes
from minidl.evaluation.classes import Classes
from minidl.evaluation.images import Pictures
from minidl.evaluation.kept import Kept, Rows
from minidl.evaluation.maps import Maps
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
    scoring = Rows(folder / SCORES, subject.records) if scores else None
    keeping = Kept(folder, subject.records, collector.kept)
    began, done = time.monotonic(), 0
    try:
        with files.replacing(folder / records.TABLE, own=own) as file:
            writer = records.Writer(file, collector.columns, collector.dtype)
            for batch in subject.batches():
                rows, numbers, pictures = collector.add(batch)
                writer.add(rows, numbers)
                keeping.add(pictures)
                if scoring is not None and subject.task.kind != task.BOXES:
                    scoring.add(batch.output)
                done += len(batch.names)
                tick(done)
        seconds = time.monotonic() - began
        writer.write_numbers(folder)
        kept = keeping.close()
        if scoring is not None:
            scoring.close()
    finally:
        for one in (keeping, scoring):
            if one is not None:
                one.drop()
    if hasattr(collector, "write"):
        collector.write(folder)
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
        "kept": kept,
        "origin": {
            "kind": subject.origin.kind,
            "path": _relative(subject.origin.path, folder) if subject.origin.path else "",
            "name": subject.origin.name,
        },
        "seconds": round(seconds, 3),
        "rate": round(done / seconds, 1) if seconds else None,
    }
    if result.get("per_class") and hasattr(collector, "confusion"):
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
    kind = subject.task.kind
    if kind == task.CLASSES:
        then, ignore = subject.task.then, subject.task.ignore
        return Classes(subject.labels, then == "softmax", ignore)
    return {task.PICTURES: Pictures, task.PIXELS: Maps, task.BOXES: Boxes}[kind](subject)


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
