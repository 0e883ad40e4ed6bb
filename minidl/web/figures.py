"""A run's events.jsonl, read as it grows: its curves, alarms, histograms and samples.

Each look reads on from the byte where the last one ended, up to the last whole line. A file that
was replaced or cut is read again from its start. Where a run went on from a snapshot, what it had
done after that is forgotten.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from minidl.errors import MinidlError
from minidl.runs import caffe_log
from minidl.web.series import COLUMNS, Point, Series

CHUNK = 1 << 18  # bytes that are parsed at a time
LONGEST_LINE = 1 << 24
HEAD = 256  # bytes by which a file is known again
MOST_ALARMS, MOST_LISTED, MOST_SERIES = 200, 20_000, 400
ZOOM_BYTES = 1 << 25  # that are read again for what the curves in memory do not show
LOSS = "train loss"
SPARK = 60  # points
# Of `Figures`, what is stored beside its curves.
KEPT = "alarms histograms samples start iter epoch began ended last_event offset".split()
KEPT += ["_identity", "_starting"]

DECODE = json.JSONDecoder().decode

Line = Mapping[str, Any]


def figures_of(line: Line) -> list[tuple[str, float]]:
    """Return the figures of an event by the names that the page has for them."""
    kind, found = line.get("event"), []
    if kind == "display":
        found.append((LOSS, _number(line.get("loss"))))
        if not line.get("final"):
            found.append(("lr", _number(line.get("lr"))))
            for name, value in _outputs(line):
                found.append(("train loss (batch)" if name == "loss" else f"train {name}", value))
        images, seconds = line.get("images"), line.get("seconds")
        if images and seconds:
            found.append(("images/s", float(images) / float(seconds)))
    elif kind == "test":
        net = line.get("net", 0)
        test = f"test#{net}" if net else "test"
        outputs = _outputs(line)
        if "loss" in line and not any(name == "loss" for name, _ in outputs):
            found.append((f"{test} loss", _number(line["loss"])))
        found += [(f"{test} {name}", value) for name, value in outputs]
    return found


def _outputs(line: Line) -> list[tuple[str, float]]:
    """Return the outputs of a net; numbers of one after the first have their index."""
    found = []
    for name, value in (line.get("outputs") or {}).items():
        if not isinstance(value, list):
            found.append((name, _number(value)))
            continue
        for i, number in enumerate(_flat(value)):
            found.append((f"{name}[{i}]" if i else name, number))
    return found


def _flat(value: Any) -> list[float]:
    return [n for v in value for n in _flat(v)] if isinstance(value, list) else [_number(value)]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


class Figures:
    """What an event file, or a Caffe log, says so far. Methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.RLock()
        self._identity = 0
        self._forget()

    def _forget(self) -> None:
        self.offset, self.behind, self.broken, self._head = 0, False, 0, b""
        self.series: dict[str, Series] = {}
        self.alarms: list[dict[str, Any]] = []
        self.histograms: list[tuple[int, int, int]] = []  # iteration, byte, bytes
        self.samples: list[int] = []
        self.start: dict[str, Any] = {}
        self.iter, self.epoch, self.began, self.ended = 0, 0.0, 0.0, 0.0
        self.last_event, self._starting = "", False

    # ------------------------------------------------------------------ reading

    def look(self, most: int = 1 << 62) -> bool:
        """Read on, some `most` bytes at most; return whether there is more to read."""
        with self.lock:
            try:
                facts = os.stat(self.path)
            except OSError:
                return False
            if facts.st_ino != self._identity or facts.st_size < self.offset:
                self._forget()
                self._identity = facts.st_ino
            if self.path.suffix != ".jsonl":
                return self._look_at_log(facts.st_size)
            end = min(facts.st_size, self.offset + most)
            with contextlib.suppress(OSError), open(self.path, "rb") as file:
                if self.offset < end and not self._goes_on(file):
                    self._forget()
                while self.offset < end and self._read(file):
                    pass
            self.behind = self.offset < facts.st_size and self.offset >= end
            return self.behind

    def _goes_on(self, file: Any) -> bool:
        """Return whether a file begins as it did: a new one may have been given its number."""
        head = file.read(HEAD)
        if not head.startswith(self._head):
            return False
        self._head = head
        return True

    def _read(self, file: Any) -> bool:
        """Take in the lines of a chunk; return False at the end of the whole ones."""
        file.seek(self.offset)
        chunk = file.read(CHUNK)
        if b"\n" not in chunk and len(chunk) == CHUNK:
            chunk += file.readline(LONGEST_LINE)
            if not chunk.endswith(b"\n") and len(chunk) >= LONGEST_LINE:
                self.offset += len(chunk)  # no line of ours
                return True
        whole = chunk[: chunk.rfind(b"\n") + 1]
        # As text at once where that has the same length, as ours has: it is twice as fast.
        lines: Any = (whole.decode() if whole.isascii() else whole).split(
            "\n" if whole.isascii() else b"\n"
        )
        at = self.offset
        for text in lines[:-1]:
            self._take(text, at)
            at += len(text) + 1
        self.offset = at
        return bool(whole)

    def _take(self, text: str | bytes, at: int) -> None:
        if not text or text.isspace():
            return
        try:
            line = DECODE(text) if isinstance(text, str) else json.loads(text)
            self._event(line, int(line["iter"]), float(line["time"]), at)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            self.broken += 1

    def _event(self, line: dict[str, Any], iteration: int, when: float, at: int) -> None:
        kind = line["event"]
        if not 0 <= iteration < 1 << 62 or not math.isfinite(when):
            raise ValueError(iteration)
        if self._starting:
            self._rewind(iteration if kind == "resume" else -1)
            self._starting = False
        self.began = self.began or when
        self.ended, self.iter, self.last_event = when, iteration, kind
        if kind in ("display", "test"):
            for name, value in figures_of(line):
                if (series := self.series.get(name)) is None:
                    if len(self.series) >= MOST_SERIES:
                        continue
                    series = self.series[name] = Series()
                series.add(Point(iteration, when, value), at)
        elif kind == "start":
            self.start = line
            self._starting = True  # from the beginning, unless a resume follows
        elif kind == "resume":
            self._rewind(iteration)
        elif kind == "alarm" and len(self.alarms) < MOST_ALARMS:
            self.alarms.append(line)
        elif kind == "epoch":
            self.epoch = float(line["epoch"])
        elif kind == "histograms" and len(self.histograms) < MOST_LISTED:
            self.histograms.append((iteration, int(line["at"]), int(line["size"])))
        elif kind == "samples" and len(self.samples) < MOST_LISTED:
            self.samples.append(iteration)

    def _rewind(self, iteration: int) -> None:
        for series in self.series.values():
            series.rewind(iteration)
        self.series = {name: series for name, series in self.series.items() if len(series)}
        self.alarms = [one for one in self.alarms if int(one["iter"]) <= iteration]
        self.histograms = [one for one in self.histograms if one[0] <= iteration]
        self.samples = [one for one in self.samples if one <= iteration]

    def _look_at_log(self, size: int) -> bool:
        """Read the whole log of a run of Caffe again, if it has grown."""
        if size == self.offset:
            return False
        try:
            found = caffe_log.record(self.path)
        except MinidlError:
            self.offset = size
            return False
        self._forget()
        self.offset = size
        rows = [*found.train, *(row for rows in found.tests.values() for row in rows)]
        seconds = [row.seconds for row in rows] + [seconds for _, seconds, _ in found.loss]
        # The year is not in a log: its last line is taken to be as old as the file.
        end = os.stat(self.path).st_mtime
        zero = end - max(seconds, default=0.0)
        self.began, self.ended = zero, end
        for name, points in _figures_of_log(found):
            series = self.series.setdefault(name, Series())
            for iteration, when, value in points:
                series.add(Point(iteration, zero + when, value))
                self.iter = max(self.iter, iteration)
        return False

    def left(self) -> int:
        """Return how many bytes are not read yet."""
        try:
            return os.path.getsize(self.path) - self.offset
        except OSError:
            return 0

    # ------------------------------------------------------------------ answers

    @property
    def epoch_iters(self) -> float:
        """Iterations an epoch; 0 if that is not known."""
        value = self.start.get("epoch_iters")
        return float(value) if isinstance(value, int | float) and value > 0 else 0.0

    def facts(self) -> dict[str, Any]:
        """Return what a summary says of the curves."""
        with self.lock:
            first = self.series.get(LOSS) or next(iter(self.series.values()), None)
            return {
                "metrics": {name: metric(name, series) for name, series in self.series.items()},
                "spark": [_short(point.value) for point in _thin(first)] if first else [],
                "alarms": len(self.alarms),
                "iter": self.iter,
                "max_iter": self.start.get("max_iter") or 0,
                "epoch": round(self.iter / self.epoch_iters, 3) if self.epoch_iters else None,
                "epoch_iters": self.epoch_iters,
                "began": self.began,
                "ended": self.ended,
                "last_event": self.last_event,
            }

    def curves(
        self, names: list[str] | None, most: int, low: float, high: float
    ) -> dict[str, dict[str, list[Any]]]:
        """Return curves of at most `most` points each, of iterations from `low` to `high`.

        A part that is shown by few buckets of many points is read again from the file.
        """
        with self.lock:
            found = {}
            for name, series in self.series.items():
                if names is not None and name not in names:
                    continue
                chosen = series
                if series.every > 1 and 2 * len(series.range(low, high)) < most:
                    chosen = self._zoomed(name, series, low, high) or series
                points = chosen.points(most, low, high)
                found[name] = as_columns(points, self.epoch_iters)
            return found

    def _zoomed(self, name: str, series: Series, low: float, high: float) -> Series | None:
        """Return the part of a curve read again; None if it is too long for that."""
        buckets = series.range(low, high)
        if not buckets or self.path.suffix != ".jsonl":
            return None
        at = series.columns["at"]
        begin = at[buckets.start]
        end = at[buckets.stop] if buckets.stop < len(at) else self.offset
        if end - begin > ZOOM_BYTES:
            return None
        part = Series()
        try:
            with open(self.path, "rb") as file:
                file.seek(begin)
                for text in file.read(end - begin).split(b"\n"):
                    for point, other in _points(text):
                        if other == name and low <= point.iter <= high:
                            part.add(point)
        except OSError:
            return None
        return part

    def sample(
        self, names: list[str] | None, most: int, low: float = -math.inf, high: float = math.inf
    ) -> dict[str, dict[str, list[Any]]]:
        """Return curves from lines at even distances in the file, in a moment: a first picture."""
        found: dict[str, list[Point]] = {}
        epoch_iters = 0.0
        try:
            size = os.path.getsize(self.path)
            with open(self.path, "rb", buffering=4096) as file:
                head = file.read(CHUNK // 8)
                for text in head.split(b"\n")[:1]:
                    with contextlib.suppress(ValueError, TypeError, AttributeError):
                        epoch_iters = float(json.loads(text).get("epoch_iters") or 0)
                for i in range(most):
                    file.seek(i * max(0, size - CHUNK // 8) // most)
                    file.readline(LONGEST_LINE)
                    _collect(file.readline(LONGEST_LINE), found)
                file.seek(max(0, size - CHUNK // 8))
                for text in file.read().split(b"\n")[1:]:
                    _collect(text, found)
        except OSError:
            return {}
        return {
            name: as_columns((p for p in _rising(points) if low <= p.iter <= high), epoch_iters)
            for name, points in found.items()
            if names is None or name in names
        }

    # ------------------------------------------------------------------ kept in the index

    def dump(self) -> tuple[str, bytes]:
        """Return everything as JSON and bytes, for `restore`."""
        with self.lock:
            state: dict[str, Any] = {name: getattr(self, name) for name in KEPT}
            state["series"] = [
                [name, s.every, s.filled, list(s.last), len(s)] for name, s in self.series.items()
            ]
            state["seen"] = _fingerprint(self.path, self.offset)
            columns = [c for s in self.series.values() for c in s.columns.values()]
            return json.dumps(state), b"".join(column.tobytes() for column in columns)

    def restore(self, text: str, data: bytes) -> bool:
        """Take back what `dump` gave; return False, changing nothing, if the file is another."""
        state = json.loads(text)
        try:
            same = os.stat(self.path).st_ino == state["_identity"]
        except OSError:
            return False
        if not same or _fingerprint(self.path, state["offset"]) != state["seen"]:
            return False
        with self.lock:
            series, view, at = {}, memoryview(data), 0
            for name, every, filled, last, count in state.pop("series"):
                one = series[name] = Series()
                one.every, one.filled, one.last = every, filled, Point(*last)
                for column, code in COLUMNS.items():
                    one.columns[column] = array(code)
                    one.columns[column].frombytes(view[at : at + 8 * count])
                    at += 8 * count
                one.restored()
            del state["seen"]
            for name, value in state.items():
                setattr(self, name, value)
            self.series = series
            self.histograms = [(a, b, c) for a, b, c in self.histograms]
        return True


def metric(name: str, series: Series) -> dict[str, Any]:
    """Return the last figure of a curve, its extremes, and the best one by its name."""
    found = {"last": _json(series.last.value), "iter": series.last.iter}
    ends = series.extremes()
    if ends is None:
        return {**found, "best": None, "best_iter": None, "min": None, "max": None}
    low, high = ends
    best = high if higher_is_better(name) else low
    return {
        **found,
        "best": _json(best.value),
        "best_iter": best.iter,
        "min": _json(low.value),
        "max": _json(high.value),
    }


def higher_is_better(name: str) -> bool:
    """Return whether a figure of this name is the better the higher it is."""
    words = ("accuracy", "psnr", "map", "iou", "precision", "recall", "f1", "top", "images/s")
    return any(word in name.lower() for word in words) and "loss" not in name.lower()


def as_columns(points: Any, epoch_iters: float) -> dict[str, list[Any]]:
    """Return points as lists by column, with null for what is no number."""
    found: dict[str, list[Any]] = {"iter": [], "time": [], "value": []}
    for point in points:
        found["iter"].append(point.iter)
        found["time"].append(round(point.time, 3))
        found["value"].append(_json(point.value))
    if epoch_iters:
        found["epoch"] = [round(i / epoch_iters, 4) for i in found["iter"]]
    return found


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _short(value: float) -> float | None:
    """Return a value with the digits that a line of a few pixels shows."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _thin(series: Series) -> list[Point]:
    points = list(series.points(SPARK - 1))
    step = max(1, math.ceil(len(points) / SPARK))
    return points[::step]


def _points(text: bytes) -> Iterator[tuple[Point, str]]:
    """Yield the points of a line with their names; none for a broken one."""
    try:
        line = json.loads(text)
        if line["event"] in ("display", "test"):
            for name, value in figures_of(line):
                yield Point(int(line["iter"]), float(line["time"]), value), name
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return


def _collect(text: bytes, found: dict[str, list[Point]]) -> None:
    for point, name in _points(text):
        found.setdefault(name, []).append(point)


def _rising(points: list[Point]) -> list[Point]:
    """Return the points in order of their iterations, each once."""
    return [point for _, point in sorted({point.iter: point for point in points}.items())]


def _figures_of_log(found: Any) -> Iterator[tuple[str, list[tuple[int, float, float]]]]:
    yield LOSS, found.loss
    yield "lr", found.rates
    nets = [("train", found.train)]
    nets += [(f"test#{net}" if net else "test", rows) for net, rows in found.tests.items()]
    for net, rows in nets:
        for row in rows:
            for name, value in row.outputs.items():
                batch = " (batch)" if net == "train" and name == "loss" else ""
                yield f"{net} {name}{batch}", [(row.iteration, row.seconds, value)]


def _fingerprint(path: Path, offset: int) -> str:
    """Return some bytes of a file's start, and of those before `offset`."""
    try:
        with open(path, "rb") as file:
            head = file.read(min(HEAD, offset))
            file.seek(max(0, offset - HEAD))
            return (head + file.read(min(HEAD, offset))).hex()
    except OSError:
        return ""
