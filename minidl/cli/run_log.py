"""What a training run wrote down, from Caffe's log, minidl's, or events.jsonl: rows of numbers."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from minidl.cli.arguments import existing
from minidl.errors import FormatError, UsageError

NUMBER = r"([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf))"
# glog: a letter, the day with or without its year, the time, the process, the place in the source
LINE = re.compile(
    r"[IWEF](?P<year>\d{4})?(?P<day>\d{4}) (?P<time>\d\d:\d\d:\d\d(?:\.\d{1,6})?) +\d+ [^\]]*\] ?"
    r"(?P<text>.*)"
)
ITERATION = re.compile(r"Iteration (\d{1,18})(?!\d)")
OUTPUT = re.compile(
    rf"(Train|Test) net output #(\d{{1,9}}): (\S+) = {NUMBER}( \(\*)?", re.IGNORECASE
)
LOSS = re.compile(rf", loss = {NUMBER}", re.IGNORECASE)
RATE = re.compile(rf"lr = {NUMBER}", re.IGNORECASE)
TESTING = re.compile(r"Testing net \(#(\d{1,9})\)")
LONGEST_LINE = 1 << 24  # characters
LARGEST = 1 << 63  # of whole numbers in events


@dataclass
class Row:
    """What a net put out at one iteration.

    seconds   since the run began
    rate      the learning rate; in a log the one that was last written down before the row, which
              is that of the display before it (Caffe's parse_log.py takes it, too)
    """

    iteration: int
    seconds: float
    rate: float
    outputs: dict[str, float] = field(default_factory=dict)


@dataclass
class Record:
    """A run, in the order in which it was written.

    train, tests   rows of the net that is trained, and of each test net by its number
    loss, rates    the smoothed loss and the learning rate: (iteration, seconds, value)
    losses         names of outputs that add to the loss
    """

    path: Path
    train: list[Row] = field(default_factory=list)
    tests: dict[int, list[Row]] = field(default_factory=dict)
    loss: list[tuple[int, float, float]] = field(default_factory=list)
    rates: list[tuple[int, float, float]] = field(default_factory=list)
    losses: set[str] = field(default_factory=set)


def read(path: str) -> Record:
    """The record in a log, an events.jsonl, or a run's folder that holds one.

    Errors: UsageError for a path that is not there, FormatError for a file without a run.
    """
    file = Path(path)
    if file.is_dir():
        if not (file / "events.jsonl").is_file():
            raise UsageError(
                "is a folder without events.jsonl",
                where=path,
                expected="a run's folder, its events.jsonl, or a log",
            )
        file = file / "events.jsonl"
    file = existing(str(file), "a log, or events.jsonl")
    with open(file, encoding="utf-8", errors="replace") as stream:
        record, lines = Record(file), _lines(file, stream)
        _read_events(record, lines) if file.suffix == ".jsonl" else _read_log(record, lines)
    if not (record.train or record.tests or record.loss):
        raise FormatError(
            "holds no training run",
            where=str(file),
            expected="lines such as 'Iteration 100, loss = 0.25', or events of minidl train",
        )
    return record


def _lines(file: Path, stream: Any) -> Iterator[str]:
    """The lines of a file, one at a time; refuses one that is longer than any of a run."""
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise FormatError(
                f"has a line of more than {LONGEST_LINE:,} characters",
                where=f"{file}:{number}",
                expected="the log of a run, or its events.jsonl",
            )
        yield line


# ---------------------------------------------------------------------- logs


def _read_log(record: Record, lines: Iterator[str]) -> None:
    iteration, rate, net = -1, math.nan, 0
    clock, seen = _Clock(), Counter[str]()  # names of outputs in the row that is being read
    for line in lines:
        match = LINE.match(line.strip())
        if match is None:
            continue
        text = match["text"]
        seconds = clock.seconds(match, starts="Solving" in text)
        if seconds is None:
            continue
        counted = ITERATION.search(text)
        if counted:
            iteration = int(counted[1])
        if iteration < 0:
            continue
        if found := TESTING.search(text):
            net = int(found[1])
        if counted and (found := LOSS.search(text, counted.end())):
            record.loss.append((iteration, seconds, float(found[1])))
        if found := RATE.search(text):
            rate = float(found[1])
            record.rates.append((iteration, seconds, rate))
        if found := OUTPUT.search(text):
            kind, number, name, value, is_loss = found.groups()
            rows = record.train if kind == "Train" else record.tests.setdefault(net, [])
            if int(number) == 0 or not rows or rows[-1].iteration != iteration:
                rows.append(Row(iteration, seconds, rate))
                seen.clear()
            rows[-1].outputs[f"{name}[{seen[name]}]" if seen[name] else name] = float(value)
            seen[name] += 1
            if is_loss:
                record.losses.add(name)
    for rows in (record.train, *record.tests.values()):
        if len(rows) > 1 and math.isnan(rows[0].rate):
            rows[0].rate = rows[1].rate  # the first rate is written after the first row


class _Clock:
    """Seconds since a run began, from lines that may not say the year."""

    def __init__(self) -> None:
        self.year = datetime.now().year
        self.start: datetime | None = None
        self.last: datetime | None = None
        self.began = False

    def seconds(self, match: re.Match[str], starts: bool) -> float | None:
        """Of one line; None if its date is none. The run begins at the line that says Solving."""
        time = match["time"] if "." in match["time"] else match["time"] + ".0"
        try:
            now = self._parse(int(match["year"] or self.year), match["day"], time)
            if self.last is not None and not match["year"] and now.month < self.last.month:
                self.year += 1  # the log goes on in the next year
                now = self._parse(self.year, match["day"], time)
        except ValueError:
            return None
        self.last = now
        if self.start is None or (starts and not self.began):
            self.start, self.began = now, self.began or starts
        return (now - self.start).total_seconds()

    @staticmethod
    def _parse(year: int, day: str, time: str) -> datetime:
        return datetime.strptime(f"{year:04d}{day} {time}", "%Y%m%d %H:%M:%S.%f")


# ---------------------------------------------------------------------- events


def _read_events(record: Record, lines: Iterator[str]) -> None:
    start = None
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n") or not line.strip():
            continue  # the last line of a run that was killed
        try:
            event = json.loads(line)
            start = float(event["time"]) if start is None else start
            _add(record, event, float(event["time"]) - start)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            raise FormatError(
                "is not an event",
                where=f"{record.path}:{number}",
                expected='a line of events.jsonl: {"event": ..., "time": ..., "iter": ...}',
            ) from None
    rates = {iteration: rate for iteration, _, rate in record.rates}
    known = sorted(rates)
    for row in (row for rows in record.tests.values() for row in rows):
        before = bisect_right(known, row.iteration)
        row.rate = rates[known[before - 1]] if before else math.nan
    names = {
        name for rows in (record.train, *record.tests.values()) for r in rows for name in r.outputs
    }
    record.losses = {name for name in names if "loss" in name.lower()}


def _add(record: Record, event: dict[str, Any], seconds: float) -> None:
    kind, iteration = event["event"], _whole(event["iter"])
    if kind == "display":
        record.loss.append((iteration, seconds, _number(event["loss"])))
        if not event.get("final"):
            rate = _number(event["lr"])
            record.rates.append((iteration, seconds, rate))
            record.train.append(Row(iteration, seconds, rate, _outputs(event)))
    elif kind == "test":
        rows = record.tests.setdefault(_whole(event["net"]), [])
        rows.append(Row(iteration, seconds, math.nan, _outputs(event)))


def _outputs(event: dict[str, Any]) -> dict[str, float]:
    """Every number of every output; those of an output with several are numbered."""
    found = {}
    for name, value in event["outputs"].items():
        for i, number in enumerate(_flat(value)):
            found[f"{name}[{i}]" if i else name] = number
    return found


def _flat(value: Any) -> list[float]:
    return [n for v in value for n in _flat(v)] if isinstance(value, list) else [_number(value)]


def _whole(value: Any) -> int:
    number = int(value)
    if not 0 <= number < LARGEST:
        raise ValueError(number)
    return number


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
