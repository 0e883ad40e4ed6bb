"""Home: where the values of one array are, and who sees them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minidl.arrays.device import Cpu, Device, on_host
from minidl.arrays.memory import Layout, Memory, Shape, place

CPU = Cpu()
USER = -1  # in the place of a memory's number: an array for users, apart from all memories


class Home:
    """The values of one blob, gradient or parameter: where they are, and who sees them.

    Engines run on memories of their own, in their layouts, perhaps several of them; users see one
    plain array. Each of these holds the values or is out of date. The protocol is six words:

        lend    give a user the plain array, live for as long as somebody holds it or a view of it
        take    before something runs: what users may have written counts
        want    before a memory is read: the values are made current in it
        wrote   after memories were written: they hold the values, and nothing else does
        give    at the end: the array that somebody holds is brought up to date
        move    live in other memory from now on; the values come along

    The array that is held never moves, and nothing that runs depends on whether one is.

    places     the memories by number; a parameter has one, number 0, which is called `memory`
    current    numbers of those that hold the values, USER among them for the users' array; empty
               while nobody has computed or given any: they count as zero
    fresh      the values count as zero, no matter what the memories hold: whoever adds first
               may overwrite them, and then has to set `fresh` to False
    plain_only   some net reads the values with array code, so no other should arrange them
    like       another Home whose layout `memory` takes when it is made
    given      an array to work on as it is, for a layer while it runs: nothing else here counts
    device     where the values are
    changes    of all Homes together: counted up whenever an array is lent that has to be taken, or
               a memory moves. A net that saw no new change has nothing to take
    """

    changes = 0

    __slots__ = (
        "_alone", "_array", "_lent", "_refusals", "_shown", "_version", "current", "device",
        "dtype", "fresh", "given", "like", "places", "plain_only", "shape",
    )  # fmt: skip

    def __init__(
        self,
        shape: Shape,
        dtype: Any,
        device: Device = CPU,
        like: Home | None = None,
        given: Any = None,
    ) -> None:
        self.shape, self.dtype, self.device = tuple(shape), np.dtype(dtype), device
        self.like, self.given = like, given
        self.fresh = self.plain_only = False
        self.places: dict[int, Memory] = {}
        self.current: set[int] = set()
        self._version = 0
        self._array: Any = None  # the users'; None while nobody asked for it
        self._shown = USER  # the place whose memory it is; USER if it is memory of its own
        self._alone = USER  # the place that users are shown once they hold no array of their own
        self._lent: weakref.ref[Any] | None = None  # since the last `take`, or longer
        self._refusals: dict[int, Callable[[], None]] = {}

    # ------------------------------------------------------------------ for users

    def lend(self) -> Any:
        """Return a plain array of the values that stays one with them."""
        if self.given is not None:
            return self.given
        lent = self._lent() if self._lent is not None else None
        if lent is None:
            self.take()
            self.fill()
            self.want(self._shown)
            lent = self.device.alias(self.array())
            self._lent = weakref.ref(lent)
            if self.apart:
                Home.changes += 1
        return lent.reshape(self.shape)

    def read(self) -> Any:
        """Return a plain array to read now: memory itself where that is plain, otherwise a copy."""
        if self.given is not None:
            return self.given
        self.fill()
        if self._lent is not None or self._shown in self.current:
            return self.array().reshape(self.shape)
        if not self.current:
            self._refuse(self._shown)
            return self.device.zeros(self.shape, self.dtype)
        return self._plain().reshape(self.shape)

    def write(self, values: Any) -> None:
        """Overwrite the values with numbers from here or the host: as many, in C order, or one."""
        self.fresh = False
        here = isinstance(values, self.device.xp.ndarray)
        xp = self.device.xp if here else np
        array = xp.asarray(values if here else on_host(values), self.dtype)
        same = array.size == math.prod(self.shape)
        array = array.reshape(self.shape) if same else xp.broadcast_to(array, self.shape)
        if self.given is not None:
            self.device.write(self.given, array)
        elif self.held or not self.places:
            self.device.write(self.array(), array)
            self.current = {self._shown}
        else:
            self._lent = None
            number = min(self.places)
            self._write(number, array)
            self.current = {number}
        self._version += 1

    def clear(self) -> None:
        """Set the values to zero: at once where somebody would see it, otherwise `fresh`."""
        if self.held:
            with self.device.current():
                self.array().fill(0)
            self.current, self.fresh = {self._shown}, False
            self._version += 1
            return
        self._lent, self.fresh = None, True
        if self.places:
            self.current = set(self.places)
            if self._shown == USER:
                self._array = None

    # ------------------------------------------------------------------ before and after a run

    @property
    def held(self) -> bool:
        """Whether an array of these values is held outside."""
        return self._lent is not None and self._lent() is not None

    @property
    def mirrored(self) -> bool:
        """Whether the array that users see is apart from all memories."""
        return self._shown == USER

    @property
    def apart(self) -> bool:
        """Whether there is memory besides the array that users see."""
        return len(self.places) > (self._shown != USER)

    @property
    def pending(self) -> bool:
        """Whether there may be something to take or to give."""
        mirror = self._shown == USER and self._array is not None
        return self.apart and (mirror or self._lent is not None)

    @property
    def version(self) -> int:
        """Another number whenever the values may have changed."""
        if self._lent is not None:  # somebody may write at any time, or has written
            self._version += 1
            if not (self.held or self.apart):  # nobody will take it: it is the values already
                self._lent = None
        return self._version

    def take(self) -> None:
        """Let what users may have written since the last time be the values."""
        if self._lent is None:
            return
        self.current = {self._shown}
        self._version += 1
        if self._lent() is None:
            self._lent = None

    def give(self) -> None:
        """Bring an array that somebody holds up to date; let go of one that nobody holds."""
        if self.held:
            self.want(self._shown)
        elif self._lent is None and self._shown == USER and self.current - {USER}:
            self.current.discard(USER)
            self._show_alone()

    def want(self, number: int) -> None:
        """Make the values current in this memory."""
        if number in self.current:
            return
        if self.current:
            self._write(number, self._plain())
        elif number == self._shown:
            self._refuse(number)
        self.current.add(number)

    def wrote(self, *numbers: int) -> None:
        """Record that these memories hold new values: all others are out of date."""
        self.current = set(numbers)
        if not self.held:
            self._lent = None  # what was written to it before is overwritten

    def fill(self) -> None:
        """Make it true that fresh values are zero."""
        if not self.fresh:
            return
        with self.device.current():
            for memory in self.places.values():
                memory.array.fill(0)
            if self._shown == USER and self._array is not None:
                self._array.fill(0)
        self.fresh = False
        self.current = {*self.places, self._shown} if self._array is not None else {*self.places}

    # ------------------------------------------------------------------ where the values are

    def array(self) -> Any:
        """Return the plain array that users see, current or not; made (zeros) if there is none."""
        if self._array is None:
            self._array = self.device.zeros(self.shape, self.dtype)
        return self._array

    def live_in(
        self,
        places: dict[int, Memory],
        shown: int = USER,
        refusals: Mapping[int, Callable[[], None]] | None = None,
    ) -> None:
        """Have the values in these memories from now on.

        shown     the place that has `array()` for its memory: users see that one itself
        refusals  by place: what raises an error once its contents are overwritten
        """
        self.take()
        if self.current and self._shown not in self.current:
            if self._refusals:
                self.current = set()  # they were to be read during a pass only
            else:
                self.want(self._shown)
        known = self._shown in self.current
        self.places, self._shown, self._alone = places, shown, USER
        self._refusals = dict(refusals or {})
        self.current = {shown} if known or shown != USER else set()
        Home.changes += 1

    @property
    def made(self) -> bool:
        """Whether there is memory yet."""
        return self._array is not None or bool(self.places)

    @property
    def memory(self) -> Memory:
        """The memory of a parameter; made if there is none."""
        if 0 not in self.places:
            self.arrange(self.like.memory.layout if self.like is not None else None)
        return self.places[0]

    def settle(self) -> None:
        """Have what users may have written in `memory`."""
        self.take()
        if self.places:
            self.want(0)

    def touch(self) -> None:
        """Record that the caller has changed the values in `memory`."""
        self._version += 1
        self.wrote(0)
        self.give()

    def arrange(self, layout: Layout | None) -> None:
        """Have the values in one memory of this layout."""
        if 0 in self.places and self.places[0].layout == layout:
            return
        if layout is None:
            self.move(Memory(self.shape, None, self.array(), self.device))
        else:
            self.move(place(self.shape, layout, self.dtype, self.device))

    def move(self, memory: Memory) -> None:
        """Live in this memory alone from now on; the values come along.

        Values that nobody has given yet are what it holds; those that are `fresh` stay so. Whoever
        holds an array keeps it, though it then is apart from a memory that is plain, too.
        """
        self.take()
        if self.current and not self.fresh:
            values = self._plain()
            if values is not memory.array:
                memory.assign(values.reshape(memory.shape))
        self.places, self.current, self._refusals = {0: memory}, {0}, {}
        self._alone = 0 if memory.layout is None else USER
        if self.held and self._array is not memory.array:
            self._shown = USER
            self.current.add(USER)
        else:
            self._show_alone()
        Home.changes += 1

    def _show_alone(self) -> None:
        """Show users memory itself from now on, or nothing until they ask."""
        self._shown = self._alone
        self._array = self.places[self._alone].array if self._alone != USER else None

    def _plain(self) -> Any:
        """Return the values from the simplest place: a plain array, or memory not used again."""
        number = self._shown
        if number not in self.current:
            number = min(self.current, key=lambda number: (number in self._refusals, number))
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
