"""Which arrays each step of a net reads and writes, and so what a part of a pass needs and leaves.

A whole pass needs nothing looked after: the walk has placed all copies. But a program may run a
part of it, and users write to blobs between passes. What a part reads before it writes it has to
be current when it begins; what it wrote last is current when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from minidl.net.layout import Copy, Walk

Owner = TypeVar("Owner", bound=Hashable)


@dataclass(frozen=True)
class Access:
    """One step: arrays by number, those that are views by that of their base.

    before, after   copies around it
    reads           what it reads
    writes          what it overwrites
    private         what its backward reads as its own forward left it, even if users write later:
                    the layer's array code would have kept that, in another form
    """

    before: tuple[Copy, ...] = ()
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    after: tuple[Copy, ...] = ()
    private: tuple[int, ...] = ()


@dataclass(frozen=True)
class Left:
    """The part of one owner's values that a part of a pass leaves.

    written   whether they are new; otherwise there are copies of the old ones
    current   the arrays that hold them
    """

    written: bool
    current: frozenset[int]


def accesses(walk: Walk) -> list[Access]:
    """Return for every step, forward and backward, what it reads and writes."""
    steps = [*range(walk.count), *reversed(range(walk.count))]
    return [
        _forward(walk, i) if step < walk.count else _backward(walk, i)
        for step, i in enumerate(steps)
    ]


def _forward(walk: Walk, i: int) -> Access:
    node, place = walk.nodes[i], walk.places[i]
    written = [n for j, n in enumerate(place.top_arrays) if not (node.idle or j in node.views)]
    return Access(
        before=_copies(walk, place.before_forward),
        reads=() if node.idle else _bases(walk, place.bottom_arrays),
        writes=_bases(walk, written),
        after=_copies(walk, place.after_forward),
    )


def _backward(walk: Walk, i: int) -> Access:
    node, place = walk.nodes[i], walk.places[i]
    if not node.needs_backward:
        return Access()
    viewed = set(node.views.values()) if node.view_diffs else set()
    gradients = enumerate(place.bottom_diff_arrays)
    written = [n for j, n in gradients if n is not None and j not in viewed]
    again: list[int] = []
    private: list[int] = []
    for what, numbers in (("bottom", place.bottom_arrays), ("top", place.top_arrays)):
        if node.rereads(what):
            (private if what in node.private else again).extend(numbers)
    return Access(
        before=_copies(walk, place.before_backward),
        reads=_bases(walk, [*place.top_diff_arrays, *again]),
        writes=_bases(walk, written),
        after=_copies(walk, place.after_backward),
        private=_bases(walk, private),
    )


def _copies(walk: Walk, copies: Iterable[Copy]) -> tuple[Copy, ...]:
    return tuple(Copy(walk.base(copy.source), copy.target) for copy in copies)


def _bases(walk: Walk, numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(walk.base(number) for number in numbers))


def part(
    steps: Iterable[Access], owner: Callable[[int], Owner]
) -> tuple[list[tuple[Owner, int]], dict[Owner, Left]]:
    """Return what these steps, one after the other, need to be current, and what they leave.

    owner   from an array's number to the owner whose values it may hold
    """
    needs: dict[tuple[Owner, int], None] = {}
    written: set[Owner] = set()
    current: dict[Owner, set[int]] = {}

    def read(number: int) -> None:
        whose = owner(number)
        if number not in current.get(whose, ()) and whose not in written:
            needs[whose, number] = None

    def run(copies: Iterable[Copy]) -> None:
        for copy in copies:
            read(copy.source)
            current.setdefault(owner(copy.target), set()).add(copy.target)

    for step in steps:
        run(step.before)
        for number in step.reads:
            read(number)
        for number in step.writes:
            written.add(owner(number))
            current[owner(number)] = {number}
        run(step.after)
    left = {who: Left(who in written, frozenset(which)) for who, which in current.items()}
    return list(needs), left
