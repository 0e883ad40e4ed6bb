"""The memory of the fake's devices: pieces of host memory that are watched."""

import bisect
import threading
import weakref

import numpy as np

from tests.fakegpu.errors import CUDARuntimeError, caller

ALIGNMENT = 256  # bytes, as CUDA aligns what it allocates
GUARD = 256  # bytes before and behind each allocation that nobody may write to
POISON = 0xFF  # new memory is full of it: NaN in each number type, -1 as an integer
# What is in a guard: another NaN, so that who reads there is seen too.
FENCE = np.tile(np.array([0xA5, 0xFF], np.uint8), GUARD // 2)


class Allocation:
    """Device memory: host memory at a multiple of 256, full of NaN, between two guards."""

    def __init__(self, heap, device, size):
        self.heap, self.device, self.size = heap, device, size
        buffer = np.empty(ALIGNMENT + GUARD + size + GUARD, np.uint8)
        start = -buffer.ctypes.data % ALIGNMENT + GUARD
        self.bytes = buffer[start : start + size]
        self.ptr = buffer.ctypes.data + start
        end = start + size
        self._guards = buffer[start - GUARD : start], buffer[end : end + GUARD]
        self.bytes.fill(POISON)
        for guard in self._guards:
            guard[...] = FENCE
        self.where = caller()
        heap.add(self)

    def check(self):
        """Note it if somebody wrote outside."""
        for guard, where in zip(self._guards, ("before the start", "beyond the end"), strict=True):
            if (guard != FENCE).any():
                guard[...] = FENCE
                self.heap.faults.append(
                    f"something wrote {where} of {self.size} bytes of device memory, "
                    f"allocated at {self.where}"
                )

    def __del__(self):
        if hasattr(self, "where"):
            self.check()
            self.heap.remove(self)


class Heap:
    """All allocations of all devices.

    live    bytes allocated now, of each device
    peak    the most there were
    faults  writes outside of an allocation, found when it was freed or looked at
    """

    def __init__(self, devices):
        self.live, self.peak, self.faults = [0] * devices, [0] * devices, []
        self._lock = threading.RLock()
        self._starts, self._at = [], {}

    def add(self, allocation):
        with self._lock:
            bisect.insort(self._starts, allocation.ptr)
            self._at[allocation.ptr] = weakref.ref(allocation)
            device = allocation.device
            self.live[device] += allocation.size
            self.peak[device] = max(self.peak[device], self.live[device])

    def remove(self, allocation):
        with self._lock:
            del self._starts[bisect.bisect_left(self._starts, allocation.ptr)]
            del self._at[allocation.ptr]
            self.live[allocation.device] -= allocation.size

    def find(self, address, size=1):
        """The allocation with these bytes, or None: not memory of a device, or freed."""
        with self._lock:
            place = bisect.bisect_right(self._starts, address) - 1
            found = self._at[self._starts[place]]() if place >= 0 else None
        inside = found is not None and address + size <= found.ptr + max(found.size, 1)
        return found if inside else None

    def bytes(self, address, size, what):
        """The bytes behind a device address, as a NumPy array."""
        found = self.find(address, size)
        if found is None:
            raise CUDARuntimeError(
                "cudaErrorIllegalAddress",
                f"{what}: {size} bytes at {address:#x} are not in one piece of device memory"
                " that is allocated now",
            )
        start = address - found.ptr
        return found.bytes[start : start + size]

    def check(self):
        """Raise what went wrong unseen."""
        with self._lock:
            alive = [ref() for ref in self._at.values()]
        for allocation in filter(None, alive):
            allocation.check()
        if self.faults:
            faults, self.faults = self.faults, []
            raise AssertionError("\n".join(faults))
