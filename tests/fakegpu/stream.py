"""Streams, events and graphs.

Work happens at once, in the order in which it is submitted. A stream that captures does not work:
it writes down, as CUDA does, and what it wrote down happens when the graph is launched.
"""

import itertools
import time
import weakref

from tests.fakegpu import machine as state
from tests.fakegpu.machine import CUDARuntimeError, caller


class Capture:
    """What is being written down; `open` are streams that joined and have not been waited for."""

    def __init__(self, origin):
        self.origin, self.work, self.open = origin, [], set()


class Graph:
    """What a stream captured."""

    def __init__(self, work):
        self._work = work

    def launch(self, stream=None):
        stream = stream or state.current().stream()
        for run, touched in self._work:
            for memory, where in touched:
                if memory() is None:
                    raise CUDARuntimeError(
                        "cudaErrorIllegalAddress",
                        f"the graph works on device memory that has been freed, since {where}",
                    )
            stream.do(run, [memory() for memory, _ in touched])

    def upload(self, stream=None):
        pass


class Stream:
    """CuPy's Stream. `non_blocking`: it does not wait for the null stream, nor that for it."""

    _numbers = itertools.count(0x7000_0000, 0x10)

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.null_stream = null
        self.non_blocking = non_blocking
        self.priority = priority or 0
        self.ptr = 0 if null else next(self._numbers)
        self.device_id = -1 if null else state.current().device
        self.capture = None
        self._before = []

    def do(self, run, touched=()):
        if self.capture is not None:
            where = caller()
            kept = [(weakref.ref(memory), where) for memory in touched]
            self.capture.work.append((run, kept))
            return
        if self.null_stream and any(not s.non_blocking for s in state.current().capturing):
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureImplicit",
                f"work on the null stream while another stream is capturing, at {caller()}",
            )
        run()

    # Which stream is current

    def use(self):
        local = state.current().local
        if not hasattr(local, "streams"):
            local.streams = {}
        local.streams[state.current().device] = self
        return self

    def __enter__(self):
        machine = state.current()
        if not self.null_stream and self.device_id != machine.device:
            raise RuntimeError(
                f"This stream was created on device {self.device_id}, "
                f"not on the current one, {machine.device}."
            )
        self._before.append((machine.device, machine.stream()))
        return self.use()

    def __exit__(self, *_):
        device, before = self._before.pop()
        state.current().local.streams[device] = before

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return hash(self.ptr)

    # Waiting

    def synchronize(self):
        if self.capture is not None:
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported",
                f"a stream that is capturing cannot be waited for, at {caller()}",
            )
        state.current().count("syncs")

    @property
    def done(self):
        return True

    @property
    def is_non_blocking(self):
        return self.non_blocking

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        if event.capture is not None:
            if self.capture is None:
                self.capture = event.capture
                state.current().capturing.add(self)
            if self is event.capture.origin:
                event.capture.open.discard(event.stream)
            else:
                event.capture.open.add(self)

    def launch_host_func(self, callback, arg):
        self.do(lambda: callback(arg))

    # Capturing

    def begin_capture(self, mode=None):
        if self.null_stream:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self.capture is not None:
            raise CUDARuntimeError("cudaErrorIllegalState", "the stream is capturing already")
        self.capture = Capture(self)
        machine = state.current()
        machine.capturing.add(self)
        for library in machine.libraries:
            library.begin(self)

    def end_capture(self):
        machine = state.current()
        if self.capture is None or self.capture.origin is not self:
            raise CUDARuntimeError("cudaErrorIllegalState", "the stream is not capturing")
        for library in machine.libraries:
            library.end(self)
        capture = self.capture
        for stream in [s for s in machine.capturing if s.capture is capture]:
            stream.capture = None
            machine.capturing.discard(stream)
        if capture.open - {self}:
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnjoined",
                "another stream took part in the capture, and its end was not waited for",
            )
        return Graph(capture.work)

    def is_capturing(self):
        return self.capture is not None


Stream.null = Stream(null=True)


class Event:
    """A point in a stream."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.disable_timing = disable_timing
        self.stream = self.capture = self.time = None

    def record(self, stream=None):
        self.stream = stream or state.current().stream()
        self.capture = self.stream.capture
        self.time = time.perf_counter()

    @property
    def done(self):
        return True

    def synchronize(self):
        if self.capture is not None:
            raise CUDARuntimeError(
                "cudaErrorCapturedEvent", f"an event of a capture is waited for, at {caller()}"
            )
        state.current().count("syncs")


def get_elapsed_time(start, end):
    """Milliseconds between two events."""
    for event in (start, end):
        if event.disable_timing or event.time is None:
            raise CUDARuntimeError(
                "cudaErrorInvalidResourceHandle", "the event has no time: not recorded, or without"
            )
    return 1000 * (end.time - start.time)
