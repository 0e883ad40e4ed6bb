"""events.jsonl, in which a run says what happens in it: one JSON object a line."""

from __future__ import annotations

import json
import math
import os
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from minidl.errors import FormatError, RunError
from minidl.runs.record import Record, Row, lines

LARGEST = 1 << 63  # of whole numbers
Outputs = Mapping[str, float | list[float]]  # one number, or all numbers of an array


def _now() -> float:
    return round(time.time(), 6)


@dataclass(frozen=True)
class Event:
    """Something that happened after `iter` updates, at `time`, in seconds since 1970.

    As itself it is one that only later versions of minidl know.
    """

    iter: int
    time: float = field(default_factory=_now, kw_only=True)


@dataclass(frozen=True)
class Start(Event):
    """A run began, or is about to go on from a snapshot.

    data          records of the data set that it learns from; 0 where that is not known
    epoch_iters   iterations of a pass over them, which need not be whole
    """

    net: str = ""
    max_iter: int = 0
    display: int = 0
    test_interval: int = 0
    seed: int = 0
    type: str = ""
    batch_size: int = 0
    iter_size: int = 1
    data: int = 0
    epoch_iters: float = 0.0


@dataclass(frozen=True)
class Resume(Event):
    """A run goes on from the snapshot with these files."""

    state: str
    weights: str


@dataclass(frozen=True)
class Display(Event):
    """The smoothed loss, the rate and the net's outputs; seconds, iterations and images since the
    display before. `final`: after the last update."""

    loss: float
    lr: float
    outputs: Outputs
    seconds: float = math.nan
    iterations: int = 0
    images: int = 0
    final: bool = False


@dataclass(frozen=True)
class Epoch(Event):
    """The run has seen all of its data for the `epoch`-th time."""

    epoch: int


@dataclass(frozen=True)
class Test(Event):
    """Means of a test net, which has this number; the loss, if it was asked for."""

    net: int
    outputs: Outputs
    loss: float | None = None


@dataclass(frozen=True)
class Plateau(Event):
    """The `count`-th plateau ended without a better figure than `best`; the rate dropped."""

    count: int
    best: float
    lr: float


@dataclass(frozen=True)
class EarlyStop(Event):
    """The run ends because this many tests in a row found nothing better than `best`."""

    net: int
    output: str
    value: float
    best: float
    best_iter: int
    tests: int


@dataclass(frozen=True)
class Snapshot(Event):
    """Both files of a snapshot were written."""

    weights: str
    state: str


@dataclass(frozen=True)
class Alarm(Event):
    """Something looks wrong: "nan", "no_progress", "dead", "tiny_updates" or "large_updates".

    layer   where; "" for the whole net
    text    a sentence, with what may help
    """

    kind: str
    layer: str
    text: str


@dataclass(frozen=True)
class Histograms(Event):
    """A line of `file` says how weights, gradients, updates and activations are spread.

    at, size   where the line begins, and its length, in bytes
    """

    file: str
    at: int
    size: int


@dataclass(frozen=True)
class Samples(Event):
    """This folder, relative to the run's, holds pictures of the validation set with answers."""

    folder: str


@dataclass(frozen=True)
class Stop(Event):
    """The run was stopped before its end."""


@dataclass(frozen=True)
class End(Event):
    """The run is complete."""


@dataclass(frozen=True)
class Error(Event):
    """The run broke off with an exception of the class `kind`."""

    kind: str
    message: str


KINDS: dict[str, type[Event]] = {
    "start": Start,
    "resume": Resume,
    "display": Display,
    "epoch": Epoch,
    "test": Test,
    "plateau": Plateau,
    "early_stop": EarlyStop,
    "snapshot": Snapshot,
    "alarm": Alarm,
    "histograms": Histograms,
    "samples": Samples,
    "stop": Stop,
    "end": End,
    "error": Error,
}
_NAMES = {kind: name for name, kind in KINDS.items()}

# ---------------------------------------------------------------------- writing


def append(path: str | os.PathLike[str], event: Event) -> None:
    """Add one event to a file. NaN and infinity, which JSON lacks, become null.

    Errors: RunError where the file cannot be written.
    """
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    record = {"event": _NAMES[type(event)], "time": values.pop("time"), "iter": values.pop("iter")}
    record |= {name: _plain(value) for name, value in values.items() if value is not None}
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
    except OSError as error:
        raise RunError(
            f"cannot be written: {error.strerror or error}", where=os.fspath(path)
        ) from None


def _plain(value: Any) -> Any:
    """Return a value in JSON's types."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


# ---------------------------------------------------------------------- reading


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a file in order; null becomes NaN.

    A last line without its end, of a run that was killed, is passed over. Errors: FormatError for
    a line that is not an event, with its number.
    """
    for number, line in enumerate(lines(path), start=1):
        if not line.endswith("\n") or not line.strip():
            continue
        try:
            yield _event(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            raise FormatError(
                "is not an event",
                where=f"{path}:{number}",
                expected='a line of events.jsonl: {"event": ..., "time": ..., "iter": ...}',
            ) from None


def _event(found: Mapping[str, Any]) -> Event:
    kind = KINDS.get(found["event"], Event)
    known = [f for f in fields(kind) if f.name in found or f.name == "time"]
    return kind(**{f.name: _READ[str(f.type)](found[f.name]) for f in known})


def _whole(value: Any) -> int:
    number = int(value)
    if not 0 <= number < LARGEST:
        raise ValueError(number)
    return number


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _outputs(value: Mapping[str, Any]) -> Outputs:
    return {name: _flat(v) if isinstance(v, list) else _number(v) for name, v in value.items()}


def _flat(value: Any) -> list[float]:
    return [n for v in value for n in _flat(v)] if isinstance(value, list) else [_number(value)]


# How a value is read, by the annotation of its field.
_READ: dict[str, Any] = {
    "int": _whole,
    "float": _number,
    "float | None": _number,
    "str": str,
    "bool": bool,
    "Outputs": _outputs,
}


def record(path: Path) -> Record:
    """Read an event file to the figures in it."""
    found = Record(path)
    start = None
    for event in read(path):
        start = event.time if start is None else start
        seconds = event.time - start
        if isinstance(event, Display):
            found.loss.append((event.iter, seconds, event.loss))
            if not event.final:
                found.rates.append((event.iter, seconds, event.lr))
                found.train.append(Row(event.iter, seconds, event.lr, _numbered(event.outputs)))
        elif isinstance(event, Test):
            rows = found.tests.setdefault(event.net, [])
            rows.append(Row(event.iter, seconds, math.nan, _numbered(event.outputs)))
    rates = {iteration: rate for iteration, _, rate in found.rates}
    known = sorted(rates)
    for row in (row for rows in found.tests.values() for row in rows):
        before = bisect_right(known, row.iteration)
        row.rate = rates[known[before - 1]] if before else math.nan
    names = {name for rows in found.rows for row in rows for name in row.outputs}
    found.losses = {name for name in names if "loss" in name.lower()}
    return found


def _numbered(outputs: Outputs) -> dict[str, float]:
    """Return every number by name; those after the first of an output have their index."""
    return {
        f"{name}[{i}]" if i else name: number
        for name, value in outputs.items()
        for i, number in enumerate(_flat(value))
    }
