"""CuPy's streams and events."""

import itertools
import time

from tests.fakegpu import machine as state
from tests.fakegpu.errors import CUDARuntimeError, caller
from tests.fakegpu.graph import Capture
from tests.fakegpu.line import Line


class Stream:
    """CuPy's Stream. `non_blocking`: it does not wait for the null stream, nor that for it."""

    _numbers = itertools.count(0x7000_0000, 0x10)

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.null, self.ptr = null, 0 if null else next(self._numbers)
        self.device_id = -1 if null else state.current().device
        self._line = Line(null, not null and not non_blocking)

    @property
    def is_non_blocking(self):
        return not self._line.blocking and not self.null

    # Which stream is current

    def use(self):
        state.current().make_current(stream=self)
        return self

    def __enter__(self):
        machine = state.current()
        if not self.null and self.device_id != machine.device:
            raise RuntimeError(
                f"This stream was created on device {self.device_id}, "
                f"not on the current one, {machine.device}."
            )
        before = machine.local.__dict__.setdefault("streams_before", [])
        before.append((machine.device, machine.stream))
        return self.use()

    def __exit__(self, *_):
        local = state.current().local
        device, before = local.streams_before.pop()
        local.streams[device] = before

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return hash(self.ptr)

    # Waiting

    def synchronize(self):
        machine = state.current()
        machine.refuse_while_capturing("waiting for the stream", self._line)
        machine.count("syncs")
        self._line.settle()

    @property
    def done(self):
        """False if work waits, once: then it goes on."""
        idle = self._line.done == self._line.end
        self._line.flush()
        return idle

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        source = event._line
        if event._capture is not None:
            event._capture.join(self._line, source)
        elif source is not None:
            place = event._place  # as it is recorded now; it may be recorded anew later
            self._line.do(lambda: source.flush(place))

    def launch_host_func(self, callback, arg):
        self._line.do(lambda: callback(arg))

    # Capturing

    def begin_capture(self, mode=None):
        if self.null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._line.capture is not None:
            raise CUDARuntimeError("cudaErrorIllegalState", "the stream is capturing already")
        self._line.flush()
        self._line.capture = Capture(self._line)

    def end_capture(self):
        capture = self._line.capture
        if capture is None or capture.origin is not self._line:
            raise CUDARuntimeError("cudaErrorIllegalState", "the stream is not capturing")
        return capture.end()

    def is_capturing(self):
        return self._line.capture is not None


NULL = Stream(null=True)
Stream.null = NULL


class Event:
    """A point in a stream."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._timed = not disable_timing
        self._line = self._capture = self._time = None
        self._place = 0

    def record(self, stream=None):
        self._line = (stream or state.current().stream)._line
        self._capture, self._place = self._line.capture, self._line.end
        self._time = time.perf_counter()

    @property
    def done(self):
        """False if it has not come, once: then work goes on."""
        reached = self._line is None or self._line.done >= self._place
        if not reached:
            self._line.flush(self._place)
        return reached

    def synchronize(self):
        if self._capture is not None:
            raise CUDARuntimeError(
                "cudaErrorCapturedEvent", f"an event of a capture is waited for, at {caller()}"
            )
        state.current().count("syncs")
        if self._line is not None:
            self._line.flush(self._place)


def get_elapsed_time(start, end):
    """Milliseconds between two events, of the host's clock."""
    for event in (start, end):
        if not event._timed or event._time is None:
            raise CUDARuntimeError(
                "cudaErrorInvalidResourceHandle", "the event has no time: not recorded, or without"
            )
    return 1000 * (end._time - start._time)
