"""The state of the fake GPU: its memory, its counters, and what it is forbidden to do just now."""

import bisect
import sys
import threading
import weakref
from contextlib import contextmanager

import numpy as np

ALIGNMENT = 256  # bytes, as CUDA aligns what it allocates
GUARD = 256  # bytes behind each allocation that nobody may write to
POISON, FENCE = 0xFF, 0xA5  # of new memory (as float32 it is NaN), and of guards


class CUDARuntimeError(RuntimeError):
    """What the driver would refuse: `name` is CUDA's name of the error."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name


class OutOfMemoryError(MemoryError):
    """CuPy's: an allocation did not fit."""

    def __init__(self, size, total):
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,}).")


class Refused(AssertionError):
    """Under `strict()`: a transfer, a synchronisation or an allocation."""


class Allocation:
    """Device memory: host memory at a multiple of 256, poisoned, with a guard behind it."""

    def __init__(self, machine, device, size):
        self.machine, self.device, self.size = machine, device, size
        room = max(size, 1)
        self.buffer = np.empty(room + GUARD + ALIGNMENT, np.uint8)
        start = -self.buffer.ctypes.data % ALIGNMENT
        self.bytes = self.buffer[start : start + size]
        self.guard = self.buffer[start + room : start + room + GUARD]
        self.ptr = self.buffer.ctypes.data + start
        self.bytes.fill(POISON)
        self.guard.fill(FENCE)
        self.where = caller()
        machine.add(self)

    def check(self):
        """Remember it if somebody wrote behind the end."""
        if (self.guard != FENCE).any():
            self.guard.fill(FENCE)
            self.machine.faults.append(
                f"something wrote beyond the end of {self.size} bytes of device memory, "
                f"allocated at {self.where}"
            )

    def __del__(self):
        if hasattr(self, "where"):
            self.check()
            self.machine.remove(self)


class Machine:
    """All devices together.

    h2d, d2h, d2d   number of copies from host to device, back, and within devices (of blocks of
                    memory; an elementwise copy is a launch); *_bytes: their sizes added up
    syncs           times the host waited for a device: asked for, or hidden in float(x)
    allocations     new device arrays; memory that CuPy's pool would have reused counts too
    launches        kernels: array operations, those of RawModule, and cuBLAS calls
    live            bytes allocated now, of each device; peak: the most there were
    total           bytes that each device has
    faults          what went wrong where nothing could be raised
    """

    COUNTERS = ("h2d", "d2h", "d2d", "h2d_bytes", "d2h_bytes", "d2d_bytes",
                "syncs", "allocations", "launches")  # fmt: skip

    def __init__(self, devices=1, memory=16 << 30):
        self.devices, self.total = devices, memory
        self.faults = []
        self.local = threading.local()  # current device and streams; what is forbidden
        self.lock = threading.RLock()
        self.live = [0] * devices
        self.peak = [0] * devices
        self._starts, self._at = [], {}
        self.libraries = []  # fakes of other libraries, which record for themselves
        self.capturing = set()  # streams
        self.reset()

    def reset(self):
        """Set all counters to zero."""
        for name in self.COUNTERS:
            setattr(self, name, 0)

    # What happens

    def count(self, what, size=0):
        """A copy, a synchronisation or an allocation is about to happen."""
        refused = getattr(self.local, "refused", ())
        if what in refused:
            raise Refused(f"{what} under gpu.strict(): {DESCRIPTION[what]}, at {caller()}")
        with self.lock:
            setattr(self, what, getattr(self, what) + 1)
            if what + "_bytes" in self.COUNTERS:
                setattr(self, what + "_bytes", getattr(self, what + "_bytes") + size)

    @contextmanager
    def strict(self, transfers=True, syncs=True, allocations=True):
        """Within, in this thread, what is not allowed raises `Refused`, and says where."""
        before = getattr(self.local, "refused", ())
        refused = set(before)
        for on, names in ((transfers, ("h2d", "d2h")), (syncs, ("syncs",))):
            refused.update(names if on else ())
        if allocations:
            refused.add("allocations")
        self.local.refused = refused
        try:
            yield self
        finally:
            self.local.refused = before

    # Memory

    @property
    def device(self):
        """The current device of this thread."""
        return getattr(self.local, "device", 0)

    def allocate(self, size):
        """Memory on the current device."""
        device = self.device
        self.count("allocations")
        self.refuse_while_capturing("cudaMalloc")
        if self.live[device] + size > self.total:
            raise OutOfMemoryError(size, self.live[device])
        return Allocation(self, device, size)

    def add(self, allocation):
        with self.lock:
            bisect.insort(self._starts, allocation.ptr)
            self._at[allocation.ptr] = weakref.ref(allocation)
            device = allocation.device
            self.live[device] += allocation.size
            self.peak[device] = max(self.peak[device], self.live[device])

    def remove(self, allocation):
        with self.lock:
            del self._starts[bisect.bisect_left(self._starts, allocation.ptr)]
            del self._at[allocation.ptr]
            self.live[allocation.device] -= allocation.size

    def find(self, address, size=1):
        """The allocation with these bytes, or None: not memory of the device, or freed."""
        with self.lock:
            place = bisect.bisect_right(self._starts, address) - 1
            if place < 0:
                return None
            found = self._at[self._starts[place]]()
        inside = found is not None and address + size <= found.ptr + max(found.size, 1)
        return found if inside else None

    def host(self, address, size, what):
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
        """Raise what went wrong unseen: writing beyond the end of an allocation."""
        with self.lock:
            alive = [ref() for ref in self._at.values()]
        for allocation in filter(None, alive):
            allocation.check()
        if self.faults:
            faults, self.faults = self.faults, []
            raise AssertionError("\n".join(faults))

    # Order

    def refuse_while_capturing(self, what):
        stream = self.stream()
        if stream.capture is not None:
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported",
                f"{what} is not permitted while a stream is capturing, at {caller()}",
            )

    def stream(self):
        """The current stream of this thread on its current device."""
        from tests.fakegpu.stream import Stream

        streams = getattr(self.local, "streams", {})
        return streams.get(self.device) or Stream.null

    def submit(self, run, *touched, launch=True):
        """Let `run` happen on the current stream, or be recorded if that is capturing.

        touched   the allocations it works on, which have to be there when a graph is launched
        """
        if launch:
            with self.lock:
                self.launches += 1
        self.stream().do(run, touched)


DESCRIPTION = {
    "h2d": "a copy from the host to the device",
    "d2h": "a copy from the device to the host",
    "d2d": "a copy within the device",
    "syncs": "the host waits for the device",
    "allocations": "new device memory",
}


def caller():
    """The innermost line of code that is not the fake's own: 'minidl/layers/relu.py:12'."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not any(part in name for part in _OWN):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown"


_OWN = ("/fakegpu/", "/numpy/", "contextlib.py")

machine = Machine()  # that of the last `install`


def current():
    return machine


def start(devices, memory):
    """A new machine; arrays of the one before stay valid, and count there."""
    global machine
    machine = Machine(devices, memory)
    return machine
