"""Decide which arrays share memory: a place in one block for every array, by lifetimes alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import add

from minidl.errors import UsageError, raise_all

MOST_PAIRS = 2_000_000  # of spans that meet, kept in sets: some 200 MB. The largest nets have half
HOLES = 64  # looked at by the sweep, of those that are free
EFFORT = 200_000  # conflicts looked at in a search before it settles for its best: some 50 ms


@dataclass(frozen=True)
class Span:
    """One array that wants memory.

    name    unique in the plan: "conv1 data", "conv2 workspace forward"
    nbytes  may be 0
    live    closed intervals (first, last) of the steps during which its contents matter. Usually
            one; a scratch buffer used in a layer's forward and again in its backward has two, and
            lends its memory to others in between
    """

    name: str
    nbytes: int
    live: tuple[tuple[int, int], ...]

    def begins_after(self, step: int) -> int | None:
        """Return the first step later than `step` at which one of its intervals begins, or None."""
        return min((first for first, _ in self.live if first > step), default=None)


@dataclass(frozen=True)
class Plan:
    """The place of each array in one block of memory.

    offsets    {name: first byte}, multiples of `alignment`
    total      bytes of the block
    peak       the largest sum of live bytes at one step: no plan can be smaller
    spans      in the order in which they are first written
    alignment  in bytes; `total` and `peak` count sizes rounded up to it
    """

    offsets: Mapping[str, int]
    total: int
    peak: int
    spans: tuple[Span, ...]
    alignment: int

    def next_writer(self, name: str, step: int) -> Span | None:
        """Return the first other array that begins, after `step`, in memory of `name`, or None.

        Asked with the last step at which `name` is written, it tells who ends its contents, and
        the answer's `begins_after(step)` tells when.
        """
        start = self.offsets[name]
        end = start + next(span.nbytes for span in self.spans if span.name == name)
        writers = [
            (begins, i)
            for i, span in enumerate(self.spans)
            if span.name != name
            and max(start, offset := self.offsets[span.name]) < min(end, offset + span.nbytes)
            and (begins := span.begins_after(step)) is not None
        ]
        return self.spans[min(writers)[1]] if writers else None


def plan(spans: Iterable[Span], alignment: int = 64) -> Plan:
    """Give every span an offset so that no two whose lifetimes meet share a byte.

    Intervals are closed: an array written at the step at which another one is last read lies
    elsewhere. What works in place is one span to the planner. The plan does not depend on the
    order of `spans`. Refuses repeated names, negative sizes and empty lifetimes, all at once.

    One after the other, spans get the lowest gap that fits between those already placed whose
    lifetimes they meet. In some order this is optimal (that of the offsets in an optimal plan), so
    orders are searched: the largest first (the "greedy by size" of Pisarchyk & Lee 2020,
    "Efficient memory management for deep neural net inference", who take the smallest gap), the
    longest-lived first, and as the steps come. While a plan is larger than the peak, the spans
    that stand out above it move to the front of its order (Joslin & Clements 1999, "Squeaky wheel
    optimization"), until EFFORT is spent. Of very many spans (MOST_PAIRS) one walk over the steps
    has to do, for what is above grows with their square.
    """
    spans = sorted(spans, key=lambda span: (sorted(span.live), span.name))
    _check(spans, alignment)
    sizes = [_round_up(span.nbytes, alignment) for span in spans]
    peak = _peak(spans, sizes)
    if _pairs(spans) > MOST_PAIRS:
        starts = _sweep(spans, sizes)
    else:
        starts = _search(spans, sizes, _conflicts(spans), peak)
    offsets = {span.name: start for span, start in zip(spans, starts, strict=True)}
    return Plan(offsets, _end(starts, sizes), peak, tuple(spans), alignment)


def _check(spans: Sequence[Span], alignment: int) -> None:
    errors: list[UsageError] = []
    if alignment < 1:
        errors.append(
            UsageError(f"alignment is {alignment}", expected="a positive number of bytes")
        )
    for name, count in Counter(span.name for span in spans).items():
        if count > 1:
            errors.append(
                UsageError(f"{count} spans are called '{name}'", fix="give each a name of its own")
            )
    for span in spans:
        where = f"span '{span.name}'"
        if span.nbytes < 0:
            errors.append(UsageError(f"nbytes is {span.nbytes}", where=where, expected="0 or more"))
        if not span.live or any(first > last for first, last in span.live):
            errors.append(
                UsageError(
                    f"live is {span.live}",
                    where=where,
                    expected="one or more intervals (first, last) with first <= last",
                    fix="what is written but never read is live at the step that writes it",
                )
            )
    raise_all(errors)


def _peak(spans: Sequence[Span], sizes: Sequence[int]) -> int:
    """Return the largest sum of sizes at one step."""
    events = [(first, False, i) for i, span in enumerate(spans) for first, _ in span.live]
    events += [(last, True, i) for i, span in enumerate(spans) for _, last in span.live]
    nested = [0] * len(spans)  # intervals of one span may overlap; it counts once
    now = peak = 0
    for _, ends, i in sorted(events):  # at one step, beginnings first: intervals are closed
        nested[i] += -1 if ends else 1
        if nested[i] == 0:
            now -= sizes[i]
        elif nested[i] == 1 and not ends:
            now += sizes[i]
            peak = max(peak, now)
    return peak


def _pairs(spans: Sequence[Span]) -> int:
    """Return how many pairs of intervals meet: the work that `_conflicts` has."""
    intervals = sorted(interval for span in spans for interval in span.live)
    lasts = sorted(last for _, last in intervals)
    return sum(i - bisect_left(lasts, first) for i, (first, _) in enumerate(intervals))


def _sweep(spans: Sequence[Span], sizes: Sequence[int]) -> list[int]:
    """Place spans as the steps come: each gets the lowest of a few holes that it fits in.

    A span with several intervals keeps its place between them.
    """
    starts, end = [0] * len(spans), 0
    holes: list[tuple[int, int]] = []  # (start, end), in order, never side by side
    living: list[tuple[int, int]] = []  # (last step, span)
    for i in sorted(range(len(spans)), key=lambda i: min(spans[i].live)[0]):
        while living and living[0][0] < min(spans[i].live)[0]:
            done = heappop(living)[1]
            if sizes[done]:
                _free(holes, starts[done], starts[done] + sizes[done])
        fitting = (k for k, (a, b) in enumerate(holes[:HOLES]) if b - a >= sizes[i])
        place = next(fitting, None)
        if place is None:
            starts[i], end = end, end + sizes[i]
        else:
            a, b = holes.pop(place)
            starts[i] = a
            if a + sizes[i] < b:
                holes.insert(place, (a + sizes[i], b))
        heappush(living, (max(last for _, last in spans[i].live), i))
    return starts


def _free(holes: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a hole, joined with its neighbours."""
    at = bisect_left(holes, (start, end))
    if at < len(holes) and holes[at][0] == end:
        end = holes.pop(at)[1]
    if at and holes[at - 1][1] == start:
        start = holes.pop(at - 1)[0]
        at -= 1
    holes.insert(at, (start, end))


def _conflicts(spans: Sequence[Span]) -> list[set[int]]:
    """Return for each span the positions of those whose lifetimes meet its own."""
    intervals = sorted((*interval, i) for i, span in enumerate(spans) for interval in span.live)
    firsts = [first for first, _, _ in intervals]
    owners = [i for _, _, i in intervals]
    conflicts: list[set[int]] = [set() for _ in spans]
    for position, (_, last, i) in enumerate(intervals):
        meeting = owners[position + 1 : bisect_right(firsts, last)]
        conflicts[i].update(meeting)
        for j in meeting:
            conflicts[j].add(i)
    return conflicts


def _search(
    spans: Sequence[Span], sizes: Sequence[int], conflicts: Sequence[set[int]], peak: int
) -> list[int]:
    """Return the offsets of the best plan found; one of `peak` bytes ends the search."""
    largest = sorted(range(len(spans)), key=lambda i: -sizes[i])
    longest = sorted(largest, key=lambda i: -sum(last - first + 1 for first, last in spans[i].live))
    earliest = sorted(longest, key=lambda i: min(spans[i].live)[0])
    orders = [largest, longest, earliest]
    pairs = sum(map(len, conflicts)) // 2
    best: list[int] = []
    for attempt in range(max(1, min(100, EFFORT // (pairs + 1)))):
        order = orders[attempt % len(orders)]
        starts = _place(order, sizes, conflicts)
        if not best or _end(starts, sizes) < _end(best, sizes):
            best = starts
        if _end(best, sizes) == peak:
            break
        # Of two in conflict, the second may stand out only because the first is in its place.
        front: dict[int, None] = {}
        for i in order:
            if starts[i] + sizes[i] > peak and conflicts[i].isdisjoint(front):
                front[i] = None
        orders[attempt % len(orders)] = [*front, *(i for i in order if i not in front)]
    return best


def _place(order: Iterable[int], sizes: Sequence[int], conflicts: Sequence[set[int]]) -> list[int]:
    """Return offsets: each in turn as low as those before it allow."""
    starts, ends = [0] * len(sizes), [0] * len(sizes)
    placed: set[int] = set()
    for i in order:
        start = 0
        for other in sorted(conflicts[i] & placed, key=starts.__getitem__):
            if starts[other] - start >= sizes[i]:
                break
            if ends[other] > start:
                start = ends[other]
        starts[i], ends[i] = start, start + sizes[i]
        placed.add(i)
    return starts


def _end(starts: Iterable[int], sizes: Iterable[int]) -> int:
    return max(map(add, starts, sizes), default=0)


def _round_up(nbytes: int, alignment: int) -> int:
    return -(-nbytes // alignment) * alignment
