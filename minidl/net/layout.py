"""Choose the place and layout of every array of a net: one walk over the layers, no memory yet.

Nodes say in which layouts they read and write (None: plain, N C H W). Where a reader wants
another layout than the writer left, the walk makes a copy, right before the first reader, that
later readers share. What comes out are arrays with lifetimes, which `planner.plan` can place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minidl.arrays.memory import Shape
from minidl.net.node import Layouts, Node

Key = tuple[str, str]  # blob, "data" or "diff"


@dataclass
class Array:
    """One array: the data or the gradient of a blob, or a copy of it in another layout.

    base         number of the array that this one is a view of, in another shape; else None
    pinned       it outlives the pass: users hold it, or it is to be zero because nobody writes it
    copy         whether it is a copy that only layers see
    first, last  the steps between which its contents matter
    """

    number: int
    blob: str
    kind: str
    shape: Shape
    layout: Any
    base: int | None = None
    pinned: bool = False
    copy: bool = False
    first: int = -1
    last: int = -1

    @property
    def name(self) -> str:
        return f"{self.blob} {self.kind}" + (f" as {self.layout or 'plain'}" if self.copy else "")


class Copy(NamedTuple):
    """Array `source` is to be copied to array `target`, which has another layout."""

    source: int
    target: int


@dataclass
class Place:
    """The arrays that one node works on, by number, and the copies around it."""

    bottom_arrays: tuple[int, ...] = ()
    top_arrays: tuple[int, ...] = ()
    bottom_diff_arrays: tuple[int | None, ...] = ()
    top_diff_arrays: tuple[int, ...] = ()
    before_forward: list[Copy] = field(default_factory=list)
    after_forward: list[Copy] = field(default_factory=list)
    before_backward: list[Copy] = field(default_factory=list)
    after_backward: list[Copy] = field(default_factory=list)


class Walk:
    """The walk: `forward` for each node in order, then `backward` once.

    count    of nodes that there will be; steps are numbered from 0, forward, and on, backward
    pinned   blobs whose data or gradient has to be plain memory of its own, for every writer

    arrays   all arrays;  places: for each node;  homes: where a blob is found after the pass
    """

    def __init__(self, count: int, pinned: Collection[Key] = ()) -> None:
        self.count, self.pinned = count, frozenset(pinned)
        self.nodes: list[Node] = []
        self.arrays: list[Array] = []
        self.places: list[Place] = []
        self.homes: dict[Key, int] = {}
        self._copies: dict[int, dict[tuple[int, Any], int]] = {}  # by base

    def layout(self, blob: str) -> Any:
        """Return the layout that a blob's data have so far."""
        return self.arrays[self.homes[blob, "data"]].layout

    def forward(self, node: Node) -> Place:
        """Place the next node's data."""
        step, place = len(self.places), Place()
        self.nodes.append(node)
        self.places.append(place)
        place.bottom_arrays = tuple(
            self._read((name, "data"), layout, step, place.before_forward)
            for name, layout in zip(
                node.bottoms, _each(node.bottom_layouts, node.bottoms), strict=True
            )
        )
        layouts = _each(node.top_layouts, node.tops)
        tops: list[int] = []
        for j, (name, shape) in enumerate(zip(node.tops, node.top_shapes, strict=True)):
            if j == 0 and node.in_place:
                number = place.bottom_arrays[0]
            elif j in node.views:
                number = self._view(place.bottom_arrays[node.views[j]], name, shape)
            else:
                number = self._new(name, "data", shape, layouts[j])
            tops.append(number)
            self._write((name, "data"), number, step, place.after_forward)
        place.top_arrays = tuple(tops)
        return place

    def backward(self) -> None:
        """Place the gradients of all nodes, from the last to the first."""
        for i in range(self.count - 1, -1, -1):
            if self.nodes[i].needs_backward:
                self._backward(self.nodes[i], self.places[i], 2 * self.count - 1 - i)

    def _backward(self, node: Node, place: Place, step: int) -> None:
        top_diff = []
        layouts = _each(node.top_diff_layouts, node.tops)
        for j, name in enumerate(node.tops):
            key, shape = (name, "diff"), node.top_shapes[j]
            if key not in self.homes:  # nobody sends a gradient here; users may give one
                self.homes[key] = self._new(name, "diff", shape, None, pinned=True)
                self.pinned |= {key}
            top_diff.append(self._read(key, layouts[j], step, place.before_backward))
        place.top_diff_arrays = tuple(top_diff)
        viewed = {b: t for t, b in node.views.items()} if node.view_diffs else {}
        layouts = _each(node.bottom_diff_layouts, node.bottoms)
        bottom_diff: list[int | None] = []
        for j, (name, want) in enumerate(zip(node.bottoms, node.wanted, strict=True)):
            if not want:
                bottom_diff.append(None)
                continue
            if j == 0 and node.in_place:
                number = top_diff[0]
            elif j in viewed:
                number = self._view(top_diff[viewed[j]], name, node.bottom_shapes[j], "diff")
            else:
                number = self._new(name, "diff", node.bottom_shapes[j], layouts[j])
            bottom_diff.append(number)
            self._write((name, "diff"), number, step, place.after_backward)
        place.bottom_diff_arrays = tuple(bottom_diff)
        for what, numbers in (("bottom", place.bottom_arrays), ("top", place.top_arrays)):
            if node.rereads(what):
                for number in numbers:
                    self._touch(number, step)

    # ------------------------------------------------------------------

    def _read(self, key: Key, layout: Any, step: int, copies: list[Copy]) -> int:
        """Return the array where a blob is found in this layout; a copy if need be."""
        number = self.homes[key]
        array = self.arrays[number]
        if array.layout != layout:
            copied = self._copies.setdefault(self.base(number), {})
            found = copied.get((number, layout))
            if found is None:
                found = copied[number, layout] = self._new(*key, array.shape, layout, copy=True)
                copies.append(Copy(number, found))
                self._touch(number, step)
            number = found
        self._touch(number, step)
        return number

    def _write(self, key: Key, number: int, step: int, copies: list[Copy]) -> None:
        """Record that a node leaves a blob's new values in this array."""
        self._touch(number, step)
        base = self.base(number)
        self._copies.pop(base, None)  # those of what was there before
        array = self.arrays[number]
        if key in self.pinned and array.layout is not None:
            home = self._new(*key, array.shape, None, pinned=True)
            copies.append(Copy(number, home))
            self._touch(home, step)
            number = home
        elif key in self.pinned:
            self.arrays[base].pinned = True
        self.homes[key] = number

    def _new(self, blob: str, kind: str, shape: Shape, layout: Any, **role: Any) -> int:
        number = len(self.arrays)
        self.arrays.append(Array(number, blob, kind, shape, layout, **role))
        return number

    def _view(self, of: int, blob: str, shape: Shape, kind: str = "data") -> int:
        return self._new(blob, kind, shape, self.arrays[of].layout, base=self.base(of))

    def base(self, number: int) -> int:
        """Return the array whose memory this one is: itself, or the one that it is a view of."""
        base = self.arrays[number].base
        return number if base is None else base

    def _touch(self, number: int, step: int) -> None:
        array = self.arrays[self.base(number)]
        if array.first < 0:
            array.first = step
        array.last = max(array.last, step)


def lifetimes(arrays: Sequence[Array]) -> list[Array]:
    """Return the arrays that a planner may place: those with own memory for a part of the pass."""
    return [a for a in arrays if a.base is None and not a.pinned and a.first >= 0]


def _each(layouts: Layouts, blobs: Sequence[str]) -> Layouts:
    """Return a layout for each blob: plain ones where none is stated."""
    return layouts or (None,) * len(blobs)
