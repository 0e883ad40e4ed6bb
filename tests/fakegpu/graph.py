"""Graphs: what streams wrote down while they captured, to happen again at each launch."""

import weakref

from tests.fakegpu import machine as state
from tests.fakegpu.errors import CUDARuntimeError, caller


class Capture:
    """One capture: the stream that began it, and those that joined it by waiting for an event.

    Each of those has to be waited for again, at its end, before the first may end the capture.
    """

    def __init__(self, origin):
        self.origin, self.joined, self.broken = origin, [], False
        self._work = []
        self._open = set()  # lines with work that `origin` does not wait for yet
        state.current().lines.add(origin)

    def add(self, line, run, touched):
        if line is not self.origin:
            self._open.add(line)
        where = caller()
        self._work.append((run, [weakref.ref(memory) for memory in touched], where))

    def join(self, line, source):
        """`line` waits for an event of `source`."""
        if line is self.origin:
            self._open.discard(source)
        elif line.capture is None:
            line.capture = self
            self.joined.append(line)
            self._open.add(line)
            state.current().lines.add(line)

    def end(self):
        for line in (self.origin, *self.joined):
            line.capture = None
            line.flush()
        if self.broken:
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureInvalidated", "something before could not be captured"
            )
        if self._open:
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnjoined",
                "another stream took part in the capture, and its end was not waited for",
            )
        return Graph._of(self._work)


class Graph:
    """What was captured. The device memory it works on has to be there still at a launch."""

    @classmethod
    def _of(cls, work):
        self = cls()
        self._work = work
        return self

    def launch(self, stream=None):
        line = (stream or state.current().stream)._line
        state.current().count("graphs")
        for run, touched, where in self._work:
            memories = [memory() for memory in touched]
            if None in memories:
                raise CUDARuntimeError(
                    "cudaErrorIllegalAddress",
                    f"the graph works on device memory that has been freed: in what {where} did",
                )
            line.do(run, memories)

    def upload(self, stream=None):
        """Send the graph to the device before its first launch."""
