"""Memory: one array where it lives, in NumPy's order or as an engine arranges it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from minidl.device import Cpu, Device, on_host

Shape = tuple[int, ...]
CPU = Cpu()
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
    """Where the values of a blob or parameter are kept between calls, and who else holds them.

    Users see plain arrays, and theirs stay live: `lend` gives out the memory itself if it is
    plain, otherwise a plain copy (a loan). Before the next pass `settle` looks whether anybody
    still holds the loan, or a view of it. If not, its values go back into the engine's layout;
    if so, the values live in the lent array from now on, and whoever runs on the old memory has
    to move over to it.

    memory     as it is now; made (zeros) when first asked for
    temporary  None, or a function that refuses (raises) where the contents are already overwritten:
               then what is lent is a copy even of plain memory, and is never written back
    fresh      the values count as zero, whatever the memory holds: whoever adds to them first may
               overwrite it, and then has to set `fresh` to False
    plain_only   some net reads the values with array code, so no other should arrange them
    like       another Home whose layout the memory takes when it is made
    device     where the values are
    changes    of all Homes together: counted up whenever one is lent as a copy, or moves. A net
               that saw no new change has nothing to settle
    """

    changes = 0

    __slots__ = (
        "_lent", "_loan", "_memory", "device", "dtype", "fresh", "like", "plain_only", "shape",
        "temporary", "version",
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
        self.temporary: Callable[[], None] | None = None
        self.version = 0
        self._memory = memory
        self._loan: Any = None
        self._lent: weakref.ref[Any] | None = None

    @property
    def made(self) -> bool:
        """Whether there is memory yet."""
        return self._memory is not None

    @property
    def memory(self) -> Memory:
        if self._memory is None:
            layout = self.like.memory.layout if self.like is not None else None
            self._memory = place(self.shape, layout, self.dtype, self.device)
            self.fresh = False
        return self._memory

    def lend(self) -> Any:
        """A plain array of the values, that stays one with them."""
        self.fill()
        lent = self._lent() if self._lent is not None else None
        if lent is None:
            memory, array = self.memory, self._loan
            if array is None and (memory.layout is not None or self.temporary is not None):
                if self.temporary is not None:
                    self.temporary()
                array = self._loan = self.device.zeros(self.shape, self.dtype)
                self.device.write(array, memory.plain(self.dtype))
                Home.changes += 1
            if array is None:
                array = memory.array
            lent = self.device.alias(array)
            self._lent = weakref.ref(lent)
        return lent.reshape(self.shape)

    @property
    def held(self) -> bool:
        """Whether somebody outside has an array of these values."""
        return self._lent is not None and self._lent() is not None

    def settle(self) -> None:
        """Take a loan back, or move to it if it is still held."""
        if self._loan is None:
            return
        loan, self._loan = self._loan, None
        self.version += 1
        if self.held:
            self._memory = Memory(self.shape, None, loan, self.device)
            self.temporary = None
            Home.changes += 1
        elif self.temporary is None and not self.fresh:
            self.memory.assign(loan)

    def arrange(self, layout: Layout | None) -> None:
        """Move the values to memory in another layout."""
        self.settle()
        if self.memory.layout == layout:
            return
        if self.fresh:
            self.move(place(self.shape, layout, self.dtype, self.device))
            return
        values = self.memory.plain(self.dtype)
        self.move(place(self.shape, layout, self.dtype, self.device))
        self.memory.assign(values)

    def move(self, memory: Memory) -> None:
        """Live in this memory from now on, whatever it holds."""
        self._memory, self._loan, self._lent = memory, None, None
        Home.changes += 1

    def values(self) -> Any:
        """A plain array to read now: the memory itself where that is plain, otherwise a copy."""
        self.fill()
        if self._loan is not None:
            return self._loan
        if self.temporary is not None:
            self.temporary()
        return self.memory.plain(self.dtype)

    def assign(self, plain: Any) -> None:
        """Overwrite the values, and a loan with them, with numbers from here or the host."""
        self.fresh = False
        here = isinstance(plain, self.device.xp.ndarray)
        xp = self.device.xp if here else np
        array = xp.asarray(plain if here else on_host(plain), self.dtype)
        same = array.size == math.prod(self.shape)
        array = array.reshape(self.shape) if same else xp.broadcast_to(array, self.shape)
        if self._loan is not None:
            self.device.write(self._loan, array)
        self.memory.assign(array)
        self.version += 1

    def fill(self) -> None:
        """Make it true that fresh values are zero."""
        if self.fresh:
            with self.device.current():
                self.memory.array.fill(0)
                if self._loan is not None:
                    self._loan.fill(0)
            self.fresh = False


def place(shape: Shape, layout: Layout | None, dtype: Any, device: Device = CPU) -> Memory:
    """New memory of its own, zeroed."""
    if layout is None:
        return Memory(shape, None, device.zeros(shape, dtype), device)
    return Memory(shape, layout, device.bytes_(layout.nbytes), device)


def zeros(shape: Shape, dtype: Any) -> np.ndarray:
    """A zeroed array of the host that starts at a multiple of its alignment."""
    return CPU.zeros(shape, dtype)
