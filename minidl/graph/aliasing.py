"""In-place layers and views: is anything overwritten that someone still reads?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        self.writes: list[
            list[tuple[str, str, bool]]
        ] = []  # per storage: (layer, blob, keeps_sign)

    def make(self, name: str) -> None:
        self.storage[name] = len(self.writes)
        self.seen[name] = 0
        self.writes.append([])

    def alias(self, name: str, of: str) -> None:
        self.storage[name], self.seen[name] = self.storage[of], self.seen[of]

    def overwrite(self, name: str, layer: str, keeps_sign: bool) -> None:
        writes = self.writes[self.storage[name]]
        writes.append((layer, name, keeps_sign))
        self.seen[name] = len(writes)

    def later(self, name: str) -> list[tuple[str, str, bool]]:
        """In-place writes to this memory since `name` was last made."""
        return self.writes[self.storage[name]][self.seen[name] :]


def find_conflicts(layers: Sequence[Use]) -> list[Conflict]:
    """Every in-place write that changes data which a later forward or a backward still reads.

    Caffe checks none of this and computes a wrong gradient in silence (its issue 2015).
    """
    memory = _Memory()
    conflicts: list[Conflict] = []
    kept: list[tuple[Use, str, str, int, int]] = []  # (user, what, blob, storage, writes so far)

    def keep(use: Use, what: str, names: Iterable[str]) -> None:
        for name in names:
            kept.append((use, what, name, memory.storage[name], memory.seen[name]))

    for use in layers:
        for name in use.bottoms:
            for writer, blob, _ in memory.later(name):
                conflicts.append(Conflict(writer, blob, use.name, "input"))
        if use.backward and "bottom" in use.keeps:
            keep(use, "bottom", use.bottoms)
        for j, top in enumerate(use.tops):
            if j < len(use.bottoms) and use.bottoms[j] == top:
                place = memory.storage[top]
                others = use.bottoms[:j] + use.bottoms[j + 1 :]
                if any(memory.storage[name] == place for name in others):
                    conflicts.append(Conflict(use.name, top, use.name, "input"))
                memory.overwrite(top, use.name, use.keeps_sign)
            elif j in use.views:
                memory.alias(top, use.bottoms[use.views[j]])
            else:
                memory.make(top)
        for what in ("top", "top sign"):
            if use.backward and what in use.keeps:
                keep(use, what, use.tops)

    for use, what, _name, storage, seen in kept:
        for writer, blob, keeps_sign in memory.writes[storage][seen:]:
            if not (what == "top sign" and keeps_sign):
                conflicts.append(Conflict(writer, blob, use.name, what))
    return conflicts
