"""Memory: one array where it lives, in NumPy's order or as an engine arranges it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from minidl.arrays.device import Cpu, Device, on_host

Shape = tuple[int, ...]
CPU = Cpu()
USER = -1  # in the place of a memory's number: the plain array that users see
ALIGNMENT = 64  # bytes: a cache line, and a register of AVX-512; GPUs ask for 16


class Layout(Protocol):
    """How an engine arranges the elements of one array; hashable, equal if interchangeable.

    Where a layout is asked for, None stands for the plain one: the net's number type in C order,
    so N, C, H, W for images. That is what NumPy code and users see.

    shape   of the array that is arranged
    nbytes  of memory it takes, padding included
    """

    @property
    def shape(self) -> Shape: ...
    @property
    def nbytes(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
    def __str__(self) -> str: ...

    def pack(self, plain: Any, packed: Any) -> None:
        """Arrange the C-ordered array `plain` (of `shape`) in the bytes `packed`."""

    def unpack(self, packed: Any, plain: Any) -> None:
        """The way back."""


class Memory:
    """An array of a shape, in some layout, at an address.

    shape    of the array
    layout   None: `array` is the array itself, C-contiguous, of the net's number type. Otherwise
             `array` is one-dimensional, uint8, and holds the `layout.nbytes` bytes of it
    address  of the first byte
    device   where it is
    """

    __slots__ = ("__weakref__", "address", "array", "device", "layout", "shape")

    def __init__(
        self, shape: Shape, layout: Layout | None, array: Any, device: Device = CPU
    ) -> None:
        self.shape, self.layout, self.array = tuple(shape), layout, array
        self.device = device
        self.address = device.address(array)

    def plain(self, dtype: Any) -> Any:
        """The elements in C order: the array itself if it is plain, otherwise a copy."""
        if self.layout is None:
            return self.array
        with self.device.current():
            out = self.device.xp.empty(self.shape, dtype)
            self.layout.unpack(self.array, out)
        return out

    def assign(self, plain: Any) -> None:
        """Overwrite all elements with those of an array of the same shape, here or on the host."""
        if self.layout is None:
            self.device.write(self.array, plain)
            return
        xp = self.device.xp
        with self.device.current():
            if not isinstance(plain, xp.ndarray):
                plain = xp.asarray(plain, np.float32)
            self.layout.pack(xp.ascontiguousarray(plain), self.array)

    def __repr__(self) -> str:
        return f"Memory({self.shape}, {self.layout or 'plain'})"


def nbytes(shape: Shape, layout: Layout | None, dtype: Any) -> int:
    """Bytes that an array takes."""
    return layout.nbytes if layout is not None else math.prod(shape) * np.dtype(dtype).itemsize


def padded(size: int) -> int:
    """So many bytes rounded up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def aligned(size: int) -> np.ndarray:
    """So many zeroed bytes of the host."""
    return CPU.bytes_(size)


class Home:
    """The values of one blob, gradient or parameter: where they are, and who sees them.

    Engines run on memories of their own, in their layouts, perhaps several of them; users see one
    plain array. Each of these holds the values or is out of date: `current` says which hold them.
    Whoever reads one asks for the values first (`want`), whoever overwrote one says so (`wrote`).

    An array that was lent is live for as long as somebody holds it, or a view of it. Before
    something runs, `take` lets what users may have written count; after it, `give` brings the
    array up to date. It never moves, and nothing that runs depends on whether it is held.

    places     the memories by number; a parameter has one, number 0, which is called `memory`
    current    numbers of those that hold the values, USER among them for the plain array; empty
               while nobody has computed or given any: they count as zero
    fresh      the values count as zero, whatever the memories hold: whoever adds to them first may
               overwrite them, and then has to set `fresh` to False
    plain_only   some net reads the values with array code, so no other should arrange them
    like       another Home whose layout `memory` takes when it is made
    device     where the values are
    version    another number whenever the values may have changed
    changes    of all Homes together: counted up whenever an array is lent that has to be taken, or
               a memory moves. A net that saw no new change has nothing to take
    """

    changes = 0

    __slots__ = (
        "_array", "_direct", "_lent", "_refusals", "current", "device", "dtype", "fresh", "like",
        "places", "plain_only", "shape", "version",
    )  # fmt: skip

    def __init__(
        self,
        shape: Shape,
        dtype: Any,
        memory: Memory | None = None,
        like: Home | None = None,
        device: Device = CPU,
    ) -> None:
        self.shape, self.dtype, self.like = tuple(shape), np.dtype(dtype), like
        self.device = device if memory is None else memory.device
        self.fresh = self.plain_only = False
        self.version = 0
        self.places: dict[int, Memory] = {}
        self.current: set[int] = set()
        self._array: Any = None  # the plain one; None while nobody asked for it
        self._direct = USER  # the place whose memory it is; USER if it is memory of its own
        self._lent: weakref.ref[Any] | None = None  # since the last `take`, or longer
        self._refusals: dict[int, Callable[[], None]] = {}
        if memory is not None:
            self.move(memory)

    # ------------------------------------------------------------------ users

    def lend(self) -> Any:
        """A plain array of the values, that stays one with them."""
        lent = self._lent() if self._lent is not None else None
        if lent is None:
            self.take()
            self.fill()
            self.want(self._direct)
            lent = self.device.alias(self.array())
            self._lent = weakref.ref(lent)
            if self.apart:
                Home.changes += 1
        return lent.reshape(self.shape)

    @property
    def held(self) -> bool:
        """Whether somebody outside has an array of these values."""
        return self._lent is not None and self._lent() is not None

    @property
    def apart(self) -> bool:
        """Whether there is memory beside the array that users see."""
        return len(self.places) > (self._direct != USER)

    @property
    def pending(self) -> bool:
        """Whether there may be something to take or to give."""
        mirror = self._direct == USER and self._array is not None
        return self.apart and (mirror or self._lent is not None)

    def take(self) -> None:
        """Let what users may have written since the last time be the values."""
        if self._lent is None:
            return
        self.current = {self._direct}
        self.version += 1
        if self._lent() is None:
            self._lent = None

    def give(self) -> None:
        """Bring an array that somebody holds up to date; let go of one that nobody holds."""
        if self.held:
            self.want(self._direct)
        elif self._lent is None and self._direct == USER and self.current - {USER}:
            self._array = None
            self.current.discard(USER)

    def values(self) -> Any:
        """A plain array to read now: memory itself where that is plain, otherwise a copy."""
        self.fill()
        if self._lent is not None or self._direct in self.current:
            return self.array().reshape(self.shape)
        if not self.current:
            self._refuse(self._direct)
            return self.device.zeros(self.shape, self.dtype)
        return self._plain(self._source()).reshape(self.shape)

    def assign(self, plain: Any) -> None:
        """Overwrite the values with numbers from here or the host, of as many elements or one."""
        self.fresh = False
        here = isinstance(plain, self.device.xp.ndarray)
        xp = self.device.xp if here else np
        array = xp.asarray(plain if here else on_host(plain), self.dtype)
        same = array.size == math.prod(self.shape)
        array = array.reshape(self.shape) if same else xp.broadcast_to(array, self.shape)
        if self.held or not self.places:
            self.device.write(self.array(), array)
            self.current = {self._direct}
        else:
            self._lent = None
            number = min(self.places)
            self._write(number, array)
            self.current = {number}
        self.version += 1

    def clear(self) -> None:
        """Set the values to zero: at once where somebody would see it, otherwise `fresh`."""
        if self.held:
            with self.device.current():
                self.array().fill(0)
            self.current, self.fresh = {self._direct}, False
            self.version += 1
            return
        self._lent, self.fresh = None, True
        if self.places:
            self.current = set(self.places)
            if self._direct == USER:
                self._array = None

    def fill(self) -> None:
        """Make it true that fresh values are zero."""
        if not self.fresh:
            return
        with self.device.current():
            for memory in self.places.values():
                memory.array.fill(0)
            if self._direct == USER and self._array is not None:
                self._array.fill(0)
        self.fresh = False
        self.current = {*self.places, self._direct} if self._array is not None else {*self.places}

    # ------------------------------------------------------------------ who runs on them

    def want(self, number: int) -> None:
        """Make the values current in this memory."""
        if number in self.current:
            return
        if self.current:
            self._write(number, self._plain(self._source()))
        elif number == self._direct:
            self._refuse(number)
        self.current.add(number)

    def wrote(self, *numbers: int) -> None:
        """These memories hold new values: all others are out of date."""
        self.current = set(numbers)
        if not self.held:
            self._lent = None  # what was written to it before is overwritten

    def array(self) -> Any:
        """The plain array that users see, current or not; made (zeros) if there is none."""
        if self._array is None:
            self._array = self.device.zeros(self.shape, self.dtype)
        return self._array

    def live_in(
        self,
        places: dict[int, Memory],
        direct: int = USER,
        refusals: Mapping[int, Callable[[], None]] | None = None,
    ) -> None:
        """Have the values in these memories from now on.

        direct    the place that has `array()` for its memory: users see that one itself
        refusals  by place: what raises an error once its contents are overwritten
        """
        self.take()
        if self.current and self._direct not in self.current:
            if self._refusals:
                self.current = set()  # they were to be read during a pass only
            else:
                self.want(self._direct)
        known = self._direct in self.current
        self.places, self._direct = places, direct
        self._refusals = dict(refusals or {})
        self.current = {direct} if known or direct != USER else set()
        Home.changes += 1

    def reshape(self, shape: Shape) -> None:
        """Be of another shape with as many elements; arrays that are held keep theirs."""
        self.live_in({})
        self.shape = tuple(shape)
        if self._array is not None:
            self._array = self._array.reshape(shape)

    def _source(self) -> int:
        """The place of current values that is simplest to read: plain, or not to be used again."""
        if self._direct in self.current:
            return self._direct
        return min(self.current, key=lambda number: (number in self._refusals, number))

    def _plain(self, number: int) -> Any:
        if number == USER:
            return self.array()
        self._refuse(number)
        return self.places[number].plain(self.dtype)

    def _refuse(self, number: int) -> None:
        """Raise an error if this memory was used for something else; USER: if all of them were."""
        refuse = self._refusals.get(number)
        if number == USER:
            refuse = next(iter(self._refusals.values()), None)
        if refuse is not None:
            refuse()

    def _write(self, number: int, plain: Any) -> None:
        if number == USER:
            self.device.write(self.array(), plain.reshape(self.shape))
        else:
            memory = self.places[number]
            memory.assign(plain.reshape(memory.shape))

    # ------------------------------------------------------------------ a single memory

    @property
    def made(self) -> bool:
        """Whether there is memory yet."""
        return self._array is not None or bool(self.places)

    @property
    def memory(self) -> Memory:
        """The memory of a parameter."""
        if 0 not in self.places:
            layout = self.like.memory.layout if self.like is not None else None
            self.fresh = False
            self.arrange(layout)
        return self.places[0]

    def settle(self) -> None:
        """Have what users may have written in `memory`."""
        self.take()
        if self.places:
            self.want(0)

    def arrange(self, layout: Layout | None) -> None:
        """Have the values in one memory of this layout."""
        if 0 in self.places and self.places[0].layout == layout:
            return
        self.fill()
        if layout is None:
            self.live_in({0: Memory(self.shape, None, self.array(), self.device)}, 0)
        else:
            self.live_in({0: place(self.shape, layout, self.dtype, self.device)})
        self.want(0)
        self.give()

    def move(self, memory: Memory) -> None:
        """Live in this memory from now on, whatever it holds; nobody may hold the old one."""
        plain = memory.layout is None
        self.places, self._direct = {0: memory}, 0 if plain else USER
        self._array, self._lent = memory.array if plain else None, None
        self.current = {0}
        Home.changes += 1


def place(shape: Shape, layout: Layout | None, dtype: Any, device: Device = CPU) -> Memory:
    """New memory of its own, zeroed."""
    if layout is None:
        return Memory(shape, None, device.zeros(shape, dtype), device)
    return Memory(shape, layout, device.bytes_(layout.nbytes), device)


def zeros(shape: Shape, dtype: Any) -> np.ndarray:
    """A zeroed array of the host that starts at a multiple of its alignment."""
    return CPU.zeros(shape, dtype)
