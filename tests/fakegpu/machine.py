"""The state of the fake GPU: its counters, what is forbidden just now, what is current."""

import threading
from contextlib import contextmanager

from tests.fakegpu.errors import CUDARuntimeError, OutOfMemoryError, Refused, caller
from tests.fakegpu.heap import Allocation, Heap

DESCRIPTION = {
    "h2d": "a copy from the host to the device",
    "d2h": "a copy from the device to the host",
    "syncs": "the host waits for the device",
    "allocations": "new device memory",
}


class Machine:
    """All devices together; what `fakegpu.install` returns.

    h2d, d2h, d2d   number of copies from host to device, back, and within devices (of blocks of
                    memory; an elementwise copy is a launch); *_bytes: their sizes added up
    syncs           times the host waited for a device: asked for, or hidden in float(x)
    allocations     new device arrays; memory that CuPy's pool would have reused counts too
    launches        kernels: array operations, those of RawModule, and cuBLAS calls
    graphs          launches of whole graphs; their kernels are not counted again
    live, peak      bytes allocated now, and the most there were, of each device
    total           bytes that each device has
    lazy            work waits in its stream until somebody has to wait for it, or the null stream
                    is used: shows host memory that is overwritten too early, and events forgotten
    eager_capture   what a stream captures also happens at once (CUDA only writes it down)
    """

    COUNTERS = ("h2d", "d2h", "d2d", "h2d_bytes", "d2h_bytes", "d2d_bytes",
                "syncs", "allocations", "launches", "graphs")  # fmt: skip

    def __init__(self, devices=1, memory=16 << 30):
        self.devices, self.total = devices, memory
        self.heap = Heap(devices)
        self.live, self.peak = self.heap.live, self.heap.peak
        self.lazy = self.eager_capture = False
        self.local = threading.local()  # of each thread: device, streams, what is refused
        self.lines = set()  # of streams that have work to do, or capture
        self.blas = {}  # device -> settings of its cuBLAS handle
        self._lock = threading.Lock()
        self.reset()

    def reset(self):
        """Set all counters to zero."""
        for name in self.COUNTERS:
            setattr(self, name, 0)

    def count(self, what, size=0):
        """A copy, a wait, an allocation or a launch is about to happen."""
        if what in getattr(self.local, "refused", ()):
            raise Refused(f"{what} under gpu.strict(): {DESCRIPTION[what]}, at {caller()}")
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)
            if what + "_bytes" in self.COUNTERS:
                setattr(self, what + "_bytes", getattr(self, what + "_bytes") + size)

    @contextmanager
    def strict(self, transfers=True, syncs=True, allocations=True):
        """Within, in this thread, what is not allowed raises `Refused`, and says where."""
        before = getattr(self.local, "refused", frozenset())
        refused = set(before)
        refused.update(("h2d", "d2h") if transfers else ())
        refused.update(("syncs",) if syncs else ())
        refused.update(("allocations",) if allocations else ())
        self.local.refused = refused
        try:
            yield self
        finally:
            self.local.refused = before

    def lenient_tests(self):
        """Within, code of tests may treat device arrays as the host's; see lenient.py."""
        from tests.fakegpu.lenient import lenient

        return lenient()

    # Memory

    def allocate(self, size):
        """Memory on the current device."""
        device = self.device
        self.count("allocations")
        pool = getattr(self.local, "pool", None)
        if pool is None:
            self.refuse_while_capturing("cudaMalloc")
        if self.live[device] + size > self.total:
            raise OutOfMemoryError(size, self.live[device])
        made = Allocation(self.heap, device, size)
        if pool is not None:
            pool._kept.append(made)
        return made

    def check(self):
        """Raise what went wrong unseen: writing beyond the end of an allocation."""
        for line in list(self.lines):
            line.flush()
        self.heap.check()

    # What is current

    @property
    def device(self):
        """The current device of this thread."""
        return getattr(self.local, "device", 0)

    @property
    def stream(self):
        """The current stream of this thread on its current device."""
        from tests.fakegpu.stream import NULL

        return getattr(self.local, "streams", {}).get(self.device) or NULL

    def make_current(self, device=None, stream=None):
        if device is not None:
            self.local.device = device
        if stream is not None:
            self.local.__dict__.setdefault("streams", {})[self.device] = stream

    # Work

    def submit(self, run, *touched):
        """One kernel: let `run` happen on the current stream.

        touched   the allocations it works on, which have to be there when a graph is launched
        """
        self.count("launches")
        self.stream._line.do(run, touched)

    @property
    def later(self):
        """Whether what is submitted now may happen later."""
        return self.lazy or self.stream._line.capture is not None

    def refuse_while_capturing(self, what, line=None):
        """`what` cannot be captured: it fails, and so does the capture when it ends."""
        capture = (line or self.stream._line).capture
        if capture is not None:
            capture.broken = True
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported",
                f"{what} is not permitted while a stream is capturing, at {caller()}",
            )


machine = Machine()  # that of the last `install`


def current():
    return machine


def start(devices, memory):
    """A new machine; arrays of the one before stay valid, and count there."""
    global machine
    machine = Machine(devices, memory)
    return machine
