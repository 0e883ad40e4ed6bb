"""What Ctrl-C and a hang-up do to a run: Caffe's -sigint_effect and -sighup_effect."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

EFFECTS = ("stop", "snapshot", "none")


class Signals:
    """While it is entered, turns signals into requests, which the solver honours between steps.

    A second interrupt while the first stop is still being honoured ends the run at once. Files are
    renamed into place when they are whole, so even that leaves none half-written.

    stopped     the name of the signal that asked the run to stop, or ""
    """

    def __init__(self, solver: Any, sigint: str, sighup: str) -> None:
        self.solver, self.stopped = solver, ""
        self._effects: dict[int, str] = {signal.SIGINT: sigint}
        if hasattr(signal, "SIGHUP"):
            self._effects[signal.SIGHUP] = sighup

    def _handle(self, number: int, frame: Any) -> None:
        effect = self._effects[number]
        if effect == "stop":
            again, self.stopped = self.stopped, signal.Signals(number).name
            if again and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.solver.request_stop()
            # not print: the signal may have come in the middle of one
            with contextlib.suppress(OSError):
                os.write(2, f"\nminidl: {self.stopped}: stopping after this step\n".encode())
        elif effect == "snapshot":
            self.solver.request_snapshot()

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handlers; only the main thread may, elsewhere signals keep their meaning."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in self._effects}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
