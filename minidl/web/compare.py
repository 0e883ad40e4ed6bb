"""Runs side by side: their curves, their figures, and the fields in which they differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from minidl.runs import store
from minidl.web import prototext

LARGEST = 4 << 20  # bytes of a prototxt
LEFT_OUT = {"snapshot_prefix", "net"}  # differ by where a run lies
MOST_FIELDS = 500


def fields_of(folder: Path, one: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a run's solver and net, and what it started from."""
    found = {}
    for name, role in (("solver", _solver(folder)), ("net", _net(folder))):
        text = _text(role) if role else ""
        for path, value in prototext.fields(text).items():
            if not (name == "solver" and path in LEFT_OUT):
                found[f"{name}.{path}"] = value
    for role, parent in one["parents"].items():
        found[f"job.{role}"] = str(parent)
    return found


def differing(runs: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return {"field", "values"} of the fields that not all runs share; null where one has none."""
    names = dict.fromkeys(name for run in runs for name in run)
    rows = [(name, [run.get(name) for run in runs]) for name in names]
    found = [{"field": name, "values": vs} for name, vs in rows if len(set(vs)) > 1]
    return found[:MOST_FIELDS]


def table(runs: list[dict[str, Any]], fields: Iterable[Mapping[str, Any]]) -> str:
    """Return runs as CSV: a row each, with its figures and the fields that differ."""
    names = list(dict.fromkeys(name for run in runs for name in run["metrics"]))
    chosen = list(fields)
    parts = ("last", "best", "best_iter")
    header = ["id", "name", "state", "iterations"]
    header += [f"{name} {part}" for name in names for part in parts]
    rows = []
    for i, run in enumerate(runs):
        row = [run["id"], run["name"], run["state"], run["done"]]
        row += [run["metrics"].get(name, {}).get(part) for name in names for part in parts]
        rows.append(row + [field["values"][i] for field in chosen])
    return _csv([header + [str(field["field"]) for field in chosen], *rows])


def points(series: Mapping[str, Mapping[str, Mapping[str, list[Any]]]]) -> str:
    """Return curves as CSV: a row for each point."""
    rows: list[list[Any]] = [["id", "figure", "iter", "time", "value"]]
    for run, curves in series.items():
        for name, columns in curves.items():
            points = zip(columns["iter"], columns["time"], columns["value"], strict=True)
            rows += [[run, name, *point] for point in points]
    return _csv(rows)


def _csv(rows: list[list[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows([[_cell(value) for value in row] for row in rows])
    return file.getvalue()


def _cell(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in "=+-@\t\r" and not _is_number(value):
        return f"'{value}"
    return "" if value is None else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _solver(folder: Path) -> Path | None:
    named = folder / store.SOLVER
    if named.is_file():
        return named
    return next(iter(sorted(folder.glob("*solver*.prototxt"))), None)


def _net(folder: Path) -> Path | None:
    places = (folder / name for name in (store.TRAINING_NET, store.NET))
    return next((path for path in places if path.is_file()), None)


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST)
    except OSError:
        return ""
