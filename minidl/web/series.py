"""One curve of a run of any length in little memory: its points, or pairs of extremes of many.

Points come one at a time. Up to `LIMIT` of them are kept as they are; beyond that, neighbours are
merged into buckets of 2, 4, 8, ... points, each of which keeps its lowest and its highest point. So
a curve that is drawn from them touches every peak, and each point drawn is one of the run's.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

LIMIT = 1 << 14  # buckets; an even number


class Point(NamedTuple):
    """A figure after `iter` updates, at `time`, in seconds since 1970; NaN where it was none."""

    iter: int
    time: float
    value: float


# The columns of a curve, one item a bucket: its lowest point, its highest, and at which byte the
# line of its first point begins.
COLUMNS = {"lo_iter": "q", "lo_time": "d", "lo": "d", "hi_iter": "q", "hi_time": "d", "hi": "d"}
COLUMNS |= {"first": "q", "at": "q"}


class Series:
    """A curve. `every` is the number of points in a bucket, `filled` that of the last one."""

    def __init__(self) -> None:
        self.every, self.filled, self.last = 1, 0, Point(0, 0.0, math.nan)
        self._low, self._high = math.inf, -math.inf  # of the last bucket
        self.columns: dict[str, array[Any]] = {name: array(code) for name, code in COLUMNS.items()}

    def __len__(self) -> int:
        """Return the number of buckets."""
        return len(self.columns["lo"])

    def add(self, point: Point, at: int = 0) -> None:
        """Add the next point, whose line begins at this byte."""
        self.last = point
        if not 0 < self.filled < self.every:
            self._open(point, at)
            return
        self.filled += 1
        value = point.value
        if value < self._low:
            self._low = value
            self._put("lo", point)
        if value > self._high:
            self._high = value
            self._put("hi", point)

    def _open(self, point: Point, at: int) -> None:
        """Begin a bucket with a point."""
        if len(self) == LIMIT:
            self._halve()
        c, self.filled = self.columns, 1
        for name in ("lo_iter", "hi_iter", "first"):
            c[name].append(point.iter)
        for name in ("lo_time", "hi_time"):
            c[name].append(point.time)
        c["lo"].append(point.value)
        c["hi"].append(point.value)
        c["at"].append(at)
        self.restored()

    def restored(self) -> None:
        """Take the extremes of the last bucket as those to be passed; any number passes NaN."""
        low, high = self.columns["lo"][-1], self.columns["hi"][-1]
        self._low = math.inf if low != low else low
        self._high = -math.inf if high != high else high

    def _put(self, end: str, point: Point) -> None:
        c = self.columns
        c[f"{end}_iter"][-1], c[f"{end}_time"][-1], c[end][-1] = point

    def _halve(self) -> None:
        """Merge neighbours: half as many buckets, each of twice the points, all of them full."""
        old, count = self.columns, len(self) // 2
        lo, hi = old["lo"], old["hi"]
        low = [2 * i + _second(lo[2 * i + 1] < lo[2 * i], lo[2 * i]) for i in range(count)]
        high = [2 * i + _second(hi[2 * i + 1] > hi[2 * i], hi[2 * i]) for i in range(count)]
        chosen = {"lo": low, "hi": high, "fi": range(0, 2 * count, 2), "at": range(0, 2 * count, 2)}
        self.columns = {
            name: array(code, [old[name][i] for i in chosen[name[:2]]])
            for name, code in COLUMNS.items()
        }
        self.every *= 2

    def rewind(self, iteration: int) -> None:
        """Forget the points after an iteration: the run has gone on from a snapshot of it."""
        c, kept = self.columns, 0
        for i in range(len(self)):
            if c["first"][i] > iteration:
                break
            for one, other in (("lo", "hi"), ("hi", "lo")):
                if c[f"{one}_iter"][i] > iteration >= c[f"{other}_iter"][i]:
                    for part in ("_iter", "_time", ""):
                        c[one + part][i] = c[other + part][i]
            kept += c["lo_iter"][i] <= iteration
        for column in c.values():
            del column[kept:]
        if kept:
            self.filled = self.every  # the next point begins a bucket
            self.last = max(self._pair(kept - 1))
        else:
            self.filled, self.last = 0, Point(0, 0.0, math.nan)

    def _pair(self, i: int) -> tuple[Point, Point]:
        c = self.columns
        return (
            Point(c["lo_iter"][i], c["lo_time"][i], c["lo"][i]),
            Point(c["hi_iter"][i], c["hi_time"][i], c["hi"][i]),
        )

    def range(self, low: float, high: float) -> range:
        """Return which buckets may hold points of the iterations from `low` to `high`."""
        first = self.columns["first"]
        begin, end = _left(first, low), _right(first, high)
        return range(max(0, begin - 1), end)

    def points(self, most: int, low: float = -math.inf, high: float = math.inf) -> Iterator[Point]:
        """Yield at most `most` points, about, of these iterations, in order: all, or extremes."""
        chosen = list(self.range(low, high))
        group = max(1, math.ceil(2 * len(chosen) / max(2, most)))
        if self.every == 1 and len(chosen) <= most:
            group = 1
        last = None
        for begin in range(0, len(chosen), group):
            for last in self._extremes(chosen[begin : begin + group]):
                if low <= last.iter <= high:
                    yield last
        end = self.last
        if len(self) and low <= end.iter <= high and (last is None or end.iter > last.iter):
            yield end

    def _extremes(self, buckets: list[int]) -> list[Point]:
        """Return the lowest and the highest point of some buckets, in order."""
        lo, hi = self.columns["lo"], self.columns["hi"]
        low = min(buckets, key=lambda i: math.inf if lo[i] != lo[i] else lo[i])
        high = max(buckets, key=lambda i: -math.inf if hi[i] != hi[i] else hi[i])
        first, second = self._pair(low)[0], self._pair(high)[1]
        if first[:2] == second[:2]:
            return [first]
        return [first, second] if first.iter <= second.iter else [second, first]

    def extremes(self) -> tuple[Point, Point] | None:
        """Return the lowest and the highest point; None if there is no number."""
        lo, hi = self.columns["lo"], self.columns["hi"]
        numbers = [i for i in range(len(self)) if lo[i] == lo[i]]
        if not numbers:
            return None
        low, high = min(numbers, key=lo.__getitem__), max(numbers, key=hi.__getitem__)
        return self._pair(low)[0], self._pair(high)[1]


def _second(better: bool, first: float) -> int:
    """Return 1 if the second of two is to be taken: it is better, or the first is NaN."""
    return int(better or first != first)


def _left(column: array[Any], value: float) -> int:
    low, high = 0, len(column)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if column[middle] < value else (low, middle)
    return low


def _right(column: array[Any], value: float) -> int:
    low, high = 0, len(column)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if column[middle] > value else (middle + 1, high)
    return low
