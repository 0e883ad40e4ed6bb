"""In-place layers and views: is anything overwritten that someone still reads?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from minidl.net.node import Node


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

    def write(self, node: Node) -> None:
        """Make the tops of a layer, or overwrite those that are in place."""
        for j, top in enumerate(node.tops):
            if node.overwrites(j):
                self.overwrite(top, node.name, node.keeps_sign)
            elif j in node.views:
                self.alias(top, node.bottoms[node.views[j]])
            else:
                self.make(top)

    def overwrite(self, name: str, layer: str, keeps_sign: bool) -> None:
        storage = self.storage[name]
        if not keeps_sign:
            self.of_signs[storage].append(len(self.writes[storage]))
        self.writes[storage].append((layer, name))
        self.seen[name] = len(self.writes[storage])

    def later(self, storage: int, seen: int, signs: bool = False) -> Iterator[tuple[str, str]]:
        """Return (layer, blob) of the in-place writes to this memory after the first `seen`.

        signs   only of those that may change a sign
        """
        writes, numbers = self.writes[storage], self.of_signs[storage]
        if signs:
            first = bisect_left(numbers, seen)
            return (writes[numbers[i]] for i in range(first, len(numbers)))
        return (writes[i] for i in range(seen, len(writes)))


def find_conflicts(nodes: Sequence[Node]) -> Iterator[Conflict]:
    """Yield every in-place write to data that a later forward or a backward still reads.

    One after the other: of n layers that work in place on one blob there may be n * n.

    Caffe checks none of this and computes a wrong gradient in silence (its issue 2015).
    """
    memory = _Memory()
    kept: list[tuple[Node, str, str, int, int]] = []  # (user, what, blob, storage, writes so far)

    def keep(node: Node, what: str, names: Iterable[str]) -> None:
        for name in names:
            kept.append((node, what, name, memory.storage[name], memory.seen[name]))

    for node in nodes:
        for name in node.bottoms:
            for writer, blob in memory.later(memory.storage[name], memory.seen[name]):
                yield Conflict(writer, blob, node.name, "input")
        if node.needs_backward and "bottom" in node.keeps:
            keep(node, "bottom", node.bottoms)
        for j, top in enumerate(node.tops):
            others = node.bottoms[:j] + node.bottoms[j + 1 :]
            if node.overwrites(j) and memory.storage[top] in map(memory.storage.get, others):
                yield Conflict(node.name, top, node.name, "input")
        memory.write(node)
        for what in ("top", "top sign"):
            if node.needs_backward and what in node.keeps:
                keep(node, what, node.tops)

    for node, what, _name, storage, seen in kept:
        for writer, blob in memory.later(storage, seen, signs=what == "top sign"):
            yield Conflict(writer, blob, node.name, what)


def overwritten(nodes: Sequence[Node]) -> set[str]:
    """Return the tops of layers without bottoms that a layer above overwrites in place."""
    memory = _Memory()
    for node in nodes:
        memory.write(node)
    made = [top for node in nodes if not node.bottoms for top in node.tops]
    return {top for top in made if memory.writes[memory.storage[top]]}
