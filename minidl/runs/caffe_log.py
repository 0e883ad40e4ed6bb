"""Figures out of the log of a run, as Caffe, its forks and minidl write it."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

from minidl.runs.record import Record, Row, lines

NUMBER = r"([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf))"
# glog: a letter, the day with or without its year, the time, the process, the place in the source
LINE = re.compile(
    r"[IWEF](?P<year>\d{4})?(?P<day>\d{4}) (?P<time>\d\d:\d\d:\d\d(?:\.\d{1,6})?) +\d+ [^\]]*\] ?"
    r"(?P<text>.*)"
)
ITERATION = re.compile(r"Iteration (\d{1,18})(?!\d)")
# Caffe of 2013 and early 2014 did not name outputs: "Test score #0: 0.9785"
OUTPUT = re.compile(
    rf"(Train|Test) (?:net output|score) #(\d{{1,9}}): (?:(\S+) = )?{NUMBER}( \(\*)?",
    re.IGNORECASE,
)
LOSS = re.compile(rf", loss = {NUMBER}", re.IGNORECASE)
RATE = re.compile(rf"lr = {NUMBER}", re.IGNORECASE)
TESTING = re.compile(r"Testing net \(#(\d{1,9})\)")


def record(path: Path) -> Record:
    """Read a log to the figures in it."""
    run = Record(path)
    iteration, rate, net = -1, math.nan, 0
    clock, seen = _Clock(), Counter[str]()  # names of outputs in the row that is being read
    for line in lines(path):
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
            run.loss.append((iteration, seconds, float(found[1])))
        if found := RATE.search(text):
            rate = float(found[1])
            run.rates.append((iteration, seconds, rate))
        if found := OUTPUT.search(text):
            kind, number, name, value, is_loss = found.groups()
            name = name or f"score {number}"
            rows = run.train if kind == "Train" else run.tests.setdefault(net, [])
            if int(number) == 0 or not rows or rows[-1].iteration != iteration:
                rows.append(Row(iteration, seconds, rate))
                seen.clear()
            rows[-1].outputs[f"{name}[{seen[name]}]" if seen[name] else name] = float(value)
            seen[name] += 1
            if is_loss:
                run.losses.add(name)
    for rows in run.rows:
        if len(rows) > 1 and math.isnan(rows[0].rate):
            rows[0].rate = rows[1].rate  # the first rate is written after the first row
    return run


class _Clock:
    """Seconds since a run began, from lines that may not say the year."""

    def __init__(self) -> None:
        self.year = datetime.now().year
        self.start: datetime | None = None
        self.last: datetime | None = None
        self.began = False

    def seconds(self, match: re.Match[str], starts: bool) -> float | None:
        """Return those of one line, None if its date is invalid. "Solving" begins the run."""
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
