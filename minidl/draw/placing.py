"""Boxes and arrows on a page: which rank each box has, in which order, and where.

The method of Sugiyama, Tagawa & Toda (1981): ranks by the longest way from a source, stand-ins
where an arrow passes a rank, orders with few crossings by sweeps over barycentres, then positions.
*Along* is the direction of the arrows, *across* the other one.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from minidl.errors import UsageError

Edge = tuple[int, int]
Point = tuple[float, float]  # along, across
SWEEPS = 12
MOST_ITEMS = 50_000  # boxes and stand-ins: a minute's work. The largest nets have a thousand
YIELDING = 1e-9  # a stand-in's weight in keeping its place: arrows go around boxes, boxes stay


@dataclass(frozen=True)
class Placed:
    """The places of everything.

    centres   of the boxes, in order
    ways      for each arrow the points it goes through: the end of its first box, both ends of the
              ranks it passes, the beginning of its last box
    size      of everything
    """

    centres: list[Point]
    ways: list[list[Point]]
    size: Point


def place(
    sizes: Sequence[Point],
    edges: Sequence[Edge],
    gap: float = 28,
    space: float = 18,
) -> Placed:
    """Give every box its place.

    sizes   of the boxes, along and across
    edges   (from, to) by number of the box; a box comes after all that have arrows to it
    gap     between ranks;  space   between boxes of one rank
    """
    ranks = _ranks(len(sizes), edges)
    between = sum(ranks[b] - ranks[a] - 1 for a, b in edges)
    if len(sizes) + between > MOST_ITEMS:
        raise UsageError(
            f"the drawing would have {len(sizes):,} boxes and arrows that pass {between:,} others",
            expected=f"at most {MOST_ITEMS:,} of both",
            fix="draw a part of it",
        )
    board = _Board(list(sizes), ranks)
    chains = [board.chain(first, last) for first, last in edges]
    board.order()
    across = board.positions(space)
    for chain in chains:
        board.straighten(chain[1:-1], across, space)
    starts, total = board.depths(gap)
    centres = [
        (starts[board.rank[i]] + board.depth(board.rank[i]) / 2, across[i])
        for i in range(len(sizes))
    ]
    ways = []
    for chain in chains:
        first, *passed, last = chain
        way = [(centres[first][0] + sizes[first][0] / 2, across[first])]
        for item in passed:
            start = starts[board.rank[item]]
            way += [(start, across[item]), (start + board.depth(board.rank[item]), across[item])]
        ways.append([*way, (centres[last][0] - sizes[last][0] / 2, across[last])])
    left = min((across[i] - board.sizes[i][1] / 2 for i in range(len(across))), default=0.0)
    right = max((across[i] + board.sizes[i][1] / 2 for i in range(len(across))), default=0.0)

    def shifted(point: Point) -> Point:
        return point[0], point[1] - left

    return Placed(
        [shifted(p) for p in centres],
        [[shifted(p) for p in w] for w in ways],
        (total, right - left),
    )


def _ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """Return the longest way from a source; sources come right before the first that they feed."""
    rank = [0] * count
    for a, b in sorted(edges, key=lambda edge: edge[1]):  # all that feed a box are ranked by then
        rank[b] = max(rank[b], rank[a] + 1)
    fed = {b for _, b in edges}
    before: dict[int, int] = {}  # source -> the rank before the first that it feeds
    for a, b in edges:
        if a not in fed:
            before[a] = min(before.get(a, count), rank[b] - 1)
    for source, last in before.items():
        rank[source] = last
    return rank


@dataclass
class _Board:
    """Return boxes and stand-ins; their ranks; their neighbours in the ranks before and after."""

    sizes: list[Point]
    rank: list[int]
    rows: list[list[int]] = field(init=False)
    before: list[list[int]] = field(init=False)
    after: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.boxes = len(self.sizes)
        self.rows = [[] for _ in range(max(self.rank, default=-1) + 1)]
        for i, rank in enumerate(self.rank):
            self.rows[rank].append(i)
        self.before = [[] for _ in self.sizes]
        self.after = [[] for _ in self.sizes]

    def chain(self, first: int, last: int) -> list[int]:
        """Join two boxes, through a stand-in in each rank between them."""
        items = [first]
        for rank in range(self.rank[first] + 1, self.rank[last]):
            item = len(self.sizes)
            self.sizes.append((0, 0))
            self.rank.append(rank)
            self.rows[rank].append(item)
            self.before.append([])
            self.after.append([])
            items.append(item)
        items.append(last)
        for a, b in zip(items[:-1], items[1:], strict=True):
            self.after[a].append(b)
            self.before[b].append(a)
        return items

    # ------------------------------------------------------------------ orders

    def order(self) -> None:
        """Sort every rank so that few arrows cross; the best of some sweeps down and up."""
        best, fewest = [list(row) for row in self.rows], self.crossings()
        for sweep in range(SWEEPS):
            if fewest == 0:
                break
            down = sweep % 2 == 0
            for row in self.rows if down else reversed(self.rows):
                self._sort(row, self.before if down else self.after)
            if (count := self.crossings()) < fewest:
                best, fewest = [list(row) for row in self.rows], count
        self.rows = best

    def _sort(self, row: list[int], joined: list[list[int]]) -> None:
        """By the mean place of those they are joined to; who has none stays where it is."""
        place = self._places()
        wanted = {
            item: sum(place[j] for j in joined[item]) / len(joined[item])
            if joined[item]
            else place[item]
            for item in row
        }
        row.sort(key=wanted.__getitem__)

    def crossings(self) -> int:
        """Return how many pairs of arrows cross between neighbouring ranks."""
        place, count = self._places(), 0
        for row in self.rows:
            ends = [sorted(place[j] for j in self.after[item]) for item in row]
            seen: list[float] = []  # in order
            for targets in ends:
                count += sum(len(seen) - bisect_right(seen, t) for t in targets)
                for target in targets:
                    insort(seen, target)
        return count

    def _places(self) -> dict[int, float]:
        return {item: float(i) for row in self.rows for i, item in enumerate(row)}

    # ------------------------------------------------------------------ positions

    def positions(self, space: float) -> list[float]:
        """Across: near to those joined to, in the order of the rank, boxes not overlapping."""
        where = [0.0] * len(self.sizes)
        for row in self.rows:
            self._settle(row, where, lambda item: where[item], space)
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            joined = self.before if down else self.after
            if sweep >= SWEEPS - 2:
                joined = [a + b for a, b in zip(self.before, self.after, strict=True)]
            for row in self.rows if down else reversed(self.rows):
                wanted = {item: self._mean(where, item, joined[item]) for item in row}
                self._settle(row, where, wanted.__getitem__, space)
        return where

    def _mean(self, where: list[float], item: int, joined: list[int]) -> float:
        """The middle of those joined to, of the boxes among them if there are any: where a short
        cut meets a long way, the next box is placed under the boxes of the long way."""
        joined = [j for j in joined if j < self.boxes] or joined
        return sum(where[j] for j in joined) / len(joined) if joined else where[item]

    def _settle(
        self, row: list[int], where: list[float], wanted: Callable[[int], float], space: float
    ) -> None:
        """Put a rank as near as can be to where its items want to be (least squares).

        With the room that all before them take subtracted, the items only have to be in order:
        neighbours that are not are pooled at their mean (Ayer and others 1955).
        """
        offset, offsets = 0.0, []
        for i, item in enumerate(row):
            if i:
                offset += (self.sizes[row[i - 1]][1] + self.sizes[item][1]) / 2 + space
            offsets.append(offset)
        pools: list[tuple[float, float, int]] = []  # mean, weight, items
        for item, shift in zip(row, offsets, strict=True):
            weight = 1.0 if item < self.boxes else YIELDING
            pools.append((wanted(item) - shift, weight, 1))
            while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
                (m1, w1, n1), (m2, w2, n2) = pools[-2:]
                pools[-2:] = [((m1 * w1 + m2 * w2) / (w1 + w2), w1 + w2, n1 + n2)]
        means = [mean for mean, _, count in pools for _ in range(count)]
        for item, mean, shift in zip(row, means, offsets, strict=True):
            where[item] = mean + shift

    def straighten(self, run: list[int], where: list[float], space: float) -> None:
        """Put stand-ins of one arrow in a line, if there is one that is free in all their ranks."""
        if len(run) < 2:
            return
        places = [where[item] for item in run]
        for line in (sum(places) / len(places), min(places), max(places)):
            if all(self._is_free(item, line, where, space) for item in run):
                for item in run:
                    where[item] = line
                return

    def _is_free(self, item: int, line: float, where: list[float], space: float) -> bool:
        row = self.rows[self.rank[item]]
        i = row.index(item)
        beside = [(row[j], side) for j, side in ((i - 1, 1), (i + 1, -1)) if 0 <= j < len(row)]
        return all(
            side * (line - where[other]) >= self.sizes[other][1] / 2 + space - 1e-6
            for other, side in beside
        )

    def depth(self, rank: int) -> float:
        """The size of a rank, along."""
        return max(self.sizes[item][0] for item in self.rows[rank])

    def depths(self, gap: float) -> tuple[list[float], float]:
        """Return where each rank begins, and where the last one ends."""
        starts, end = [], 0.0
        for rank in range(len(self.rows)):
            starts.append(end)
            end += self.depth(rank) + gap
        return starts, max(0.0, end - gap)
