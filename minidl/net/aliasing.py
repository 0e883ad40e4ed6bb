"""In-place layers and views: is anything overwritten that someone still reads?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Use:
    """What one layer does with its blobs' memory.

    name         of the layer
    bottoms, tops    blob names; a top equal to the bottom at its place is in place
    views        {top index: bottom index}: tops that are a bottom's memory
    keeps        "bottom", "top", "top sign": what its backward reads again
    keeps_sign   written in place, it leaves signs where gradients are not zero
    backward     whether its backward runs at all
    """

    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    views: Mapping[int, int] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()
    keeps_sign: bool = False
    backward: bool = False

    def in_place(self, index: int) -> bool:
        """Whether the top of this index is the bottom at its place."""
        return index < len(self.bottoms) and self.bottoms[index] == self.tops[index]


@dataclass(frozen=True)
class Conflict:
    """Layer `writer` overwrites blob `blob` in place although layer `reader` still needs it.

    what   "bottom", "top" or "top sign" of the reader's backward, or "input" of its forward
    """

    writer: str
    blob: str
    reader: str
    what: str


class _Memory:
    """Storage behind blob names: which storage, and how often it was written since."""

    def __init__(self) -> None:
        self.storage: dict[str, int] = {}
        self.seen: dict[str, int] = {}  # blob name -> number of writes when it was made
        # per storage: (layer, blob) of each write, and the numbers of those that change signs
        self.writes: list[list[tuple[str, str]]] = []
        self.of_signs: list[list[int]] = []

    def make(self, name: str) -> None:
        self.storage[name] = len(self.writes)
        self.seen[name] = 0
        self.writes.append([])
        self.of_signs.append([])

    def alias(self, name: str, of: str) -> None:
        self.storage[name], self.seen[name] = self.storage[of], self.seen[of]

    def write(self, use: Use) -> None:
        """Make the tops of a layer, or overwrite those that are in place."""
        for j, top in enumerate(use.tops):
            if use.in_place(j):
                self.overwrite(top, use.name, use.keeps_sign)
            elif j in use.views:
                self.alias(top, use.bottoms[use.views[j]])
            else:
                self.make(top)

    def overwrite(self, name: str, layer: str, keeps_sign: bool) -> None:
        storage = self.storage[name]
        if not keeps_sign:
            self.of_signs[storage].append(len(self.writes[storage]))
        self.writes[storage].append((layer, name))
        self.seen[name] = len(self.writes[storage])

    def later(self, storage: int, seen: int, signs: bool = False) -> Iterator[tuple[str, str]]:
        """(layer, blob) of the in-place writes to this memory after the first `seen`.

        signs   only of those that may change a sign
        """
        writes, numbers = self.writes[storage], self.of_signs[storage]
        if signs:
            first = bisect_left(numbers, seen)
            return (writes[numbers[i]] for i in range(first, len(numbers)))
        return (writes[i] for i in range(seen, len(writes)))


def find_conflicts(layers: Sequence[Use]) -> Iterator[Conflict]:
    """Every in-place write that changes data which a later forward or a backward still reads.

    One after the other: of n layers that work in place on one blob there may be n * n.

    Caffe checks none of this and computes a wrong gradient in silence (its issue 2015).
    """
    memory = _Memory()
    kept: list[tuple[Use, str, str, int, int]] = []  # (user, what, blob, storage, writes so far)

    def keep(use: Use, what: str, names: Iterable[str]) -> None:
        for name in names:
            kept.append((use, what, name, memory.storage[name], memory.seen[name]))

    for use in layers:
        for name in use.bottoms:
            for writer, blob in memory.later(memory.storage[name], memory.seen[name]):
                yield Conflict(writer, blob, use.name, "input")
        if use.backward and "bottom" in use.keeps:
            keep(use, "bottom", use.bottoms)
        for j, top in enumerate(use.tops):
            others = use.bottoms[:j] + use.bottoms[j + 1 :]
            if use.in_place(j) and memory.storage[top] in map(memory.storage.get, others):
                yield Conflict(use.name, top, use.name, "input")
        memory.write(use)
        for what in ("top", "top sign"):
            if use.backward and what in use.keeps:
                keep(use, what, use.tops)

    for use, what, _name, storage, seen in kept:
        for writer, blob in memory.later(storage, seen, signs=what == "top sign"):
            yield Conflict(writer, blob, use.name, what)


def overwritten(layers: Sequence[Use]) -> set[str]:
    """The tops of layers without bottoms that a layer above overwrites in place."""
    memory = _Memory()
    for use in layers:
        memory.write(use)
    made = [top for use in layers if not use.bottoms for top in use.tops]
    return {top for top in made if memory.writes[memory.storage[top]]}
