"""Memory: one array where it lives, in NumPy's order or as an engine arranges it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Shape = tuple[int, ...]
ALIGNMENT = 64  # bytes: a cache line, and a register of AVX-512


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

    def pack(self, plain: np.ndarray, packed: np.ndarray) -> None:
        """Arrange the C-ordered array `plain` (of `shape`) in the bytes `packed`."""

    def unpack(self, packed: np.ndarray, plain: np.ndarray) -> None:
        """The way back."""


class Memory:
    """An array of a shape, in some layout, at an address.

    shape    of the array
    layout   None: `array` is the array itself, C-contiguous, of the net's number type. Otherwise
             `array` is one-dimensional, uint8, and holds the `layout.nbytes` bytes of it
    address  of the first byte
    """

    __slots__ = ("__weakref__", "address", "array", "layout", "shape")

    def __init__(self, shape: Shape, layout: Layout | None, array: np.ndarray) -> None:
        self.shape, self.layout, self.array = tuple(shape), layout, array
        self.address = array.ctypes.data

    def plain(self, dtype: Any) -> np.ndarray:
        """The elements in C order: the array itself if it is plain, otherwise a copy."""
        if self.layout is None:
            return self.array
        out = np.empty(self.shape, dtype)
        self.layout.unpack(self.array, out)
        return out

    def assign(self, plain: np.ndarray) -> None:
        """Overwrite all elements with those of a C-ordered array of the same shape."""
        if self.layout is None:
            self.array[...] = plain
        else:
            self.layout.pack(np.ascontiguousarray(plain), self.array)

    def __repr__(self) -> str:
        return f"Memory({self.shape}, {self.layout or 'plain'})"


def nbytes(shape: Shape, layout: Layout | None, dtype: Any) -> int:
    """Bytes that an array takes."""
    return layout.nbytes if layout is not None else math.prod(shape) * np.dtype(dtype).itemsize


def padded(size: int) -> int:
    """So many bytes rounded up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def aligned(size: int) -> np.ndarray:
    """So many zeroed bytes that start at a multiple of ALIGNMENT."""
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


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
    changes    of all Homes together: counted up whenever one is lent as a copy, or moves. A net
               that saw no new change has nothing to settle
    """

    changes = 0

    __slots__ = (
        "_lent", "_loan", "_memory", "dtype", "fresh", "like", "plain_only", "shape", "temporary",
        "version",
    )  # fmt: skip

    def __init__(
        self, shape: Shape, dtype: Any, memory: Memory | None = None, like: Home | None = None
    ) -> None:
        self.shape, self.dtype, self.like = tuple(shape), np.dtype(dtype), like
        self.fresh = self.plain_only = False
        self.temporary: Callable[[], None] | None = None
        self.version = 0
        self._memory = memory
        self._loan: np.ndarray | None = None
        self._lent: weakref.ref[np.ndarray] | None = None

    @property
    def made(self) -> bool:
        """Whether there is memory yet."""
        return self._memory is not None

    @property
    def memory(self) -> Memory:
        if self._memory is None:
            layout = self.like.memory.layout if self.like is not None else None
            self._memory = place(self.shape, layout, self.dtype)
            self.fresh = False
        return self._memory

    def lend(self) -> np.ndarray:
        """A plain array of the values, that stays one with them."""
        self.fill()
        lent = self._lent() if self._lent is not None else None
        if lent is None:
            memory, array = self.memory, self._loan
            if array is None and (memory.layout is not None or self.temporary is not None):
                if self.temporary is not None:
                    self.temporary()
                array = self._loan = zeros(self.shape, self.dtype)
                array[...] = memory.plain(self.dtype)
                Home.changes += 1
            if array is None:
                array = memory.array
            # Every view of `lent` has it as its base, so it lives exactly as long as somebody can
            # see the memory: NumPy would make the base of a view of `array` `array` itself.
            lent = np.frombuffer(array.reshape(-1).data, self.dtype)
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
            self._memory, self.temporary = Memory(self.shape, None, loan), None
            Home.changes += 1
        elif self.temporary is None and not self.fresh:
            self.memory.assign(loan)

    def arrange(self, layout: Layout | None) -> None:
        """Move the values to memory in another layout."""
        self.settle()
        if self.memory.layout == layout:
            return
        if self.fresh:
            self.move(place(self.shape, layout, self.dtype))
            return
        values = self.memory.plain(self.dtype)
        self.move(place(self.shape, layout, self.dtype))
        self.memory.assign(values)

    def move(self, memory: Memory) -> None:
        """Live in this memory from now on, whatever it holds."""
        self._memory, self._loan, self._lent = memory, None, None
        Home.changes += 1

    def values(self) -> np.ndarray:
        """A plain array to read now: the memory itself where that is plain, otherwise a copy."""
        self.fill()
        if self._loan is not None:
            return self._loan
        if self.temporary is not None:
            self.temporary()
        return self.memory.plain(self.dtype)

    def assign(self, plain: np.ndarray) -> None:
        """Overwrite the values, and a loan with them."""
        self.fresh = False
        if self._loan is not None:
            self._loan[...] = plain
        array = np.asarray(plain, self.dtype)
        same = array.size == math.prod(self.shape)
        self.memory.assign(
            array.reshape(self.shape) if same else np.broadcast_to(array, self.shape)
        )
        self.version += 1

    def fill(self) -> None:
        """Make it true that fresh values are zero."""
        if self.fresh:
            self.memory.array.fill(0)
            if self._loan is not None:
                self._loan.fill(0)
            self.fresh = False


def place(shape: Shape, layout: Layout | None, dtype: Any) -> Memory:
    """New memory of its own, zeroed."""
    if layout is None:
        return Memory(shape, None, zeros(shape, dtype))
    return Memory(shape, layout, aligned(layout.nbytes))


def zeros(shape: Shape, dtype: Any) -> np.ndarray:
    """A zeroed array whose memory starts at a multiple of ALIGNMENT."""
    return aligned(nbytes(shape, None, dtype)).view(dtype).reshape(shape)
