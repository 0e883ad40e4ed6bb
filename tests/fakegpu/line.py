"""What waits in a stream: its work, in order.

Work happens at once; if the machine is `lazy`, as late as CUDA allows. A stream that captures
does not work: it writes down (see graph.py).
"""

from tests.fakegpu import machine as state
from tests.fakegpu.errors import CUDARuntimeError, caller


class Line:
    """The work of one stream.

    null       it is the null stream's: it comes after all that was submitted to blocking streams
    blocking   the null stream waits for it
    capture    None, or what it writes down to
    """

    def __init__(self, null, blocking):
        self.null, self.blocking, self.capture = null, blocking, None
        self._waiting, self.done = [], 0  # `done`: how many pieces of work were

    def do(self, run, touched=()):
        """Let `run` happen after all that came before.

        touched   the allocations it works on
        """
        machine = state.current()
        if self.capture is not None:
            self.capture.add(self, run, touched)
            if machine.eager_capture:
                run()
        elif self.null:
            self.settle()
            run()
        elif machine.lazy:
            self._waiting.append((run, touched))
            machine.lines.add(self)
        else:
            run()

    def settle(self):
        """Do all that comes before what is submitted now."""
        if not self.null:
            self.flush()
            return
        blocking = [line for line in state.current().lines if line.blocking]
        captures = [line.capture for line in blocking if line.capture is not None]
        if captures:
            for capture in captures:
                capture.broken = True
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureImplicit",
                f"work on the null stream while another stream is capturing, at {caller()}",
            )
        for line in blocking:
            line.flush()

    def flush(self, until=None):
        """Do what waits, all of it or up to the piece of number `until`."""
        while self._waiting and (until is None or self.done < until):
            run, _ = self._waiting.pop(0)
            self.done += 1
            run()
        if not self._waiting and self.capture is None:
            state.current().lines.discard(self)

    @property
    def end(self):
        """How many pieces of work were submitted so far."""
        return self.done + len(self._waiting)
