"""All that a net learns, in one piece: values, gradients and histories, flat, last layer first."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.home import Home
from minidl.arrays.memory import ALIGNMENT, Layout, Memory, nbytes, place


class Segment(NamedTuple):
    """The place of a parameter in every row, and its layout.

    start, size   its first element, and their number, padding of the layout included
    room          elements up to the next segment; those behind its own are zero
    """

    param: Param
    start: int
    size: int
    room: int
    layout: Layout | None


class Row:
    """One flat array of an arena: all values, all gradients, or one history of all parameters.

    flat   the array; another one whenever the arena is laid out again
    home   from a parameter to the Home that lives here
    """

    def __init__(self, home: Callable[[Param], Home]) -> None:
        self.home = home
        self.flat: Any = None
        self.memories: list[Memory] = []  # one for each segment


class Arena:
    """A table on one device: a row of values, one of gradients, one for each history of a solver;
    a column, or segment, for each parameter, in the layout in which its plan reads it.

    So one pass over the rows can update all parameters, and one message can carry all gradients.
    Columns are in the order in which backward completes the gradients: those of the last layers,
    which are ready first, can be sent to others while backward goes on.

    The rule: a parameter needed in another layout, or elsewhere, is simply moved. Before the
    next pass or update, `gather` brings it back: into its old place, if there is room for the
    layout, otherwise all rows are laid out again, and bindings to them must be made again.
    Parameters that are borrowed live where their owner has them.

    params     those that are to be inside, in the net's order
    segments   where they lie, the last one first
    version    another number whenever something in it has moved
    """

    def __init__(self, params: Sequence[Param], device: Device, dtype: Any) -> None:
        self.params, self.device, self.dtype = list(params), device, np.dtype(dtype)
        self.segments: list[Segment] = []
        self.version = 0
        self._values, self._gradients = Row(lambda p: p.values), Row(lambda p: p.gradient)
        self._histories: weakref.WeakSet[Row] = weakref.WeakSet()
        self._lay_out([(param, None) for param in reversed(self.params)])

    @property
    def values(self) -> Any:
        """All values, one-dimensional."""
        return self._values.flat

    @property
    def gradients(self) -> Any:
        """All gradients, each at the place of its values; garbage where one is `fresh`."""
        return self._gradients.flat

    def row(self, home: Callable[[Param], Home]) -> Row:
        """Return one more row, which exists for as long as somebody holds it."""
        row = Row(home)
        self._fill(row)
        self._histories.add(row)
        return row

    def gather(self, layouts: Mapping[Param, Layout | None] | None = None) -> None:
        """Have every parameter inside: in the layout given, or in the one that it has."""
        layouts = layouts or {}
        inside = [
            (param, layouts.get(param, _layout(param)))
            for param in reversed(self.params)
            if not param.borrowed
        ]
        same = [param for param, _ in inside] == [segment.param for segment in self.segments]
        moved = [i for i, (_, layout) in enumerate(inside) if not (same and self._has(i, layout))]
        if same and all(self._has_room(i, inside[i][1]) for i in moved):
            for i in moved:
                self._take_on(i, inside[i][1])
        elif moved or not same:
            self._lay_out(inside)

    # ------------------------------------------------------------------ columns

    @property
    def _rows(self) -> list[Row]:
        return [self._values, self._gradients, *self._histories]

    def _has(self, i: int, layout: Layout | None) -> bool:
        """Return whether the i-th parameter is here, in this layout."""
        return self.segments[i].layout == layout and all(
            row.home(self.segments[i].param).places.get(0) is row.memories[i] for row in self._rows
        )

    def _has_room(self, i: int, layout: Layout | None) -> bool:
        """Return whether the i-th parameter can take on a layout in place: no user holds it."""
        segment = self.segments[i]
        homes = [row.home(segment.param) for row in self._rows]
        return self._size(segment.param, layout) <= segment.room and not any(
            home.held and not home.mirrored for home in homes
        )

    def _take_on(self, i: int, layout: Layout | None) -> None:
        param, start, _, room, _ = self.segments[i]
        self.segments[i] = Segment(param, start, self._size(param, layout), room, layout)
        for row in self._rows:
            home = row.home(param)
            with self.device.current():
                home.move(place(home.shape, None, self.dtype, self.device))  # out of the way
                row.flat[start : start + room].fill(0)
                row.memories[i] = self._memory(row, self.segments[i])
                home.move(row.memories[i])
        self.version += 1

    def _lay_out(self, inside: Sequence[tuple[Param, Layout | None]]) -> None:
        """Make new rows, with as much room for each parameter as it ever had, and move in."""
        rooms = {segment.param: segment.room for segment in self.segments}
        self.segments, end = [], 0
        for param, layout in inside:
            size = self._size(param, layout)
            room = max(rooms.get(param, 0), self._rounded(size))
            self.segments.append(Segment(param, end, size, room, layout))
            end += room
        for row in self._rows:
            self._fill(row)
        self.version += 1

    def _fill(self, row: Row) -> None:
        """Give a row a new flat array, and let its homes live there."""
        end = sum(segment.room for segment in self.segments)
        row.flat = self.device.zeros((end,), self.dtype)
        row.memories = [self._memory(row, segment) for segment in self.segments]
        with self.device.current():
            for segment, memory in zip(self.segments, row.memories, strict=True):
                row.home(segment.param).move(memory)

    def _memory(self, row: Row, segment: Segment) -> Memory:
        shape, part = segment.param.values.shape, row.flat[segment.start :][: segment.size]
        array = part.reshape(shape) if segment.layout is None else part.view(np.uint8)
        return Memory(shape, segment.layout, array, self.device)

    def _size(self, param: Param, layout: Layout | None) -> int:
        """Return the number of elements that a parameter takes in a layout."""
        return nbytes(param.values.shape, layout, self.dtype) // self.dtype.itemsize

    def _rounded(self, size: int) -> int:
        step = ALIGNMENT // self.dtype.itemsize
        return -(-size // step) * step


def _layout(param: Param) -> Layout | None:
    """Return the layout that a parameter lives in now."""
    memory = param.values.places.get(0)
    return memory.layout if memory is not None else None
