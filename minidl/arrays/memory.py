"""Memory: one array where it lives, in NumPy's order or as an engine arranges it."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from minidl.arrays.device import Cpu, Device

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
        """Arrange the bytes `packed` in C order, in the array `plain`."""


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
        """Return the elements in C order: the array itself if it is plain, otherwise a copy."""
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
    """Return the bytes that an array takes."""
    return layout.nbytes if layout is not None else math.prod(shape) * np.dtype(dtype).itemsize


def padded(size: int) -> int:
    """Round a number of bytes up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def place(shape: Shape, layout: Layout | None, dtype: Any, device: Device = CPU) -> Memory:
    """Allocate new memory, zeroed."""
    if layout is None:
        return Memory(shape, None, device.zeros(shape, dtype), device)
    return Memory(shape, layout, device.bytes_(layout.nbytes), device)
