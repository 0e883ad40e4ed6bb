"""Pointers to device memory and to pinned host memory, and CuPy's pools."""

import contextlib
import ctypes

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.errors import CUDARuntimeError


class Memory:
    """What a MemoryPointer keeps alive."""

    def __init__(self, allocation):
        self.allocation = allocation
        self.ptr, self.size, self.device_id = allocation.ptr, allocation.size, allocation.device


class MemoryPointer:
    """An address within device memory."""

    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset
        self.device_id = mem.device_id

    @property
    def device(self):
        from tests.fakegpu.cuda import Device

        return Device(self.device_id)

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    def __int__(self):
        return self.ptr

    def _bytes(self, size):
        start = self.ptr - self.mem.ptr
        if start + size > self.mem.size:
            raise CUDARuntimeError("cudaErrorInvalidValue", "a copy beyond the memory's end")
        return self.mem.allocation.bytes[start : start + size]

    def memset(self, value, size):
        self.memset_async(value, size)

    def memset_async(self, value, size, stream=None):
        target = self._bytes(size)
        (stream or state.current().stream)._line.do(
            lambda: target.fill(value), (self.mem.allocation,)
        )

    def copy_from_device(self, src, size):
        self.copy_from_device_async(src, size)

    def copy_from_device_async(self, src, size, stream=None):
        target, source = self._bytes(size), src._bytes(size)
        machine = state.current()
        machine.count("d2d", size)
        (stream or machine.stream)._line.do(
            lambda: np.copyto(target, source), (self.mem.allocation, src.mem.allocation)
        )

    def copy_from_host_async(self, mem, size, stream=None):
        """From an address (int or ctypes pointer) of pinned memory."""
        address = mem if isinstance(mem, int) else ctypes.cast(mem, ctypes.c_void_p).value
        copy_from_host(self, address, size, stream)

    copy_from_host = copy_from_host_async


def copy_from_host(pointer, address, size, stream=None, keep=None):
    """Host to device; recorded by a stream that captures, if the host memory is pinned.

    keep   what owns the host memory, for as long as the copy may happen
    """
    machine = state.current()
    machine.count("h2d", size)
    line = (stream or machine.stream)._line
    pinned = is_pinned(address, size)
    if not pinned:
        machine.refuse_while_capturing("a copy from pageable host memory", line)
    if not size:
        return
    target = pointer._bytes(size)
    source = np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)
    if not pinned:
        source = source.copy()  # CUDA has read pageable memory when the call returns
    line.do(lambda keep=keep: np.copyto(target, source), (pointer.mem.allocation,))


def alloc(size):
    """New device memory, from the pool."""
    return MemoryPointer(Memory(state.current().allocate(int(size))), 0)


class MemoryPool:
    """CuPy's pool; the fake gives freed memory back at once, so nothing is ever kept free."""

    def __init__(self, allocator=None):
        self._kept = []  # given out while a stream captured

    def malloc(self, size):
        return alloc(size)

    def used_bytes(self):
        return state.current().live[state.current().device]

    total_bytes = used_bytes

    def free_bytes(self):
        return 0

    n_free_blocks = free_bytes

    def free_all_blocks(self, stream=None):
        pass


@contextlib.contextmanager
def using_allocator(allocator=None):
    """CuPy's: arrays made within, in this thread, have their memory from `allocator`.

    With a pool's `malloc` an allocation may be part of a capture: a stream captures in relaxed
    mode, and what a pool of its own gave out is nobody else's as long as the pool is there.
    """
    local = state.current().local
    before = getattr(local, "pool", None)
    local.pool = getattr(allocator, "__self__", None)
    try:
        yield
    finally:
        local.pool = before


# Pinned host memory

_pinned = {}  # start -> size


def is_pinned(address, size=1):
    """Whether these bytes of the host are in one piece of pinned memory."""
    pieces = _pinned.copy().items()  # other threads make some, and let go of them
    return any(start <= address and address + size <= start + n for start, n in pieces)


class PinnedMemoryPointer(bytearray):
    """Pinned host memory, from its first byte; NumPy takes it as a buffer, as it takes CuPy's."""

    def __init__(self, size):
        super().__init__(max(size, 1))
        self.ptr = ctypes.addressof(ctypes.c_char.from_buffer(self))
        self.mem, self._size = self, size
        _pinned[self.ptr] = max(size, 1)

    def size(self):
        return self._size

    def __int__(self):
        return self.ptr

    def __del__(self):
        _pinned.pop(self.ptr, None)


class PinnedMemoryPool:
    def malloc(self, size):
        return PinnedMemoryPointer(size)

    def n_free_blocks(self):
        return 0

    def free_all_blocks(self):
        pass


def alloc_pinned_memory(size):
    state.current().refuse_while_capturing("cudaHostAlloc")
    return PinnedMemoryPointer(int(size))


def empty_pinned(shape, dtype=float, order="C"):
    """A NumPy array in pinned memory."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return np.ndarray(shape, dtype, buffer=alloc_pinned_memory(size), order=order)


zeros_pinned = empty_pinned  # a bytearray is zeroed
