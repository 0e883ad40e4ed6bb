"""The effects of Ctrl-C, a hang-up and a request to terminate on a command."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

EFFECTS = ("stop", "snapshot", "none")
ONE_KEYSTROKE_S = 1.0  # make, uv and shells pass Ctrl-C on to a process that already got it


class Terminated(BaseException):
    """SIGTERM came; like KeyboardInterrupt it passes through `except Exception`."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise Terminated, so that a command removes its unfinished files.

    If SIGTERM already has another meaning, it keeps that.
    """
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def terminate(number: int, frame: Any) -> None:
        if not _left_to_child(owner, number, signal.SIG_DFL):
            raise Terminated

    with _installed({signal.SIGTERM: terminate}):
        yield


def given_back() -> contextlib.AbstractContextManager[None]:
    """Give SIGTERM its own meaning inside the block: for other people's programs."""
    return _installed({signal.SIGTERM: signal.SIG_DFL})


@contextlib.contextmanager
def _installed(handlers: dict[int, Any]) -> Iterator[None]:
    """Install handlers; only the main thread may, elsewhere signals keep their meaning."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _left_to_child(owner: int, number: int, before: Any) -> bool:
    """Return whether this is a process that `owner` forked, such as one of a Python layer: signals
    do there what they did before, so that they can be stopped."""
    if os.getpid() == owner:
        return False
    signal.signal(number, before)
    os.kill(os.getpid(), number)
    return True


class Request:
    """A signal that asks for something later. While `handled` it is remembered, and no more.

    made    whether it has come
    """

    def __init__(self, number: int | None, answer: str) -> None:
        self.number, self.answer, self.made = number, answer, False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handler; in the main thread, of a system that has the signal."""
        if self.number is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        owner, number = os.getpid(), self.number
        before = signal.getsignal(number)

        def handle(number: int, frame: Any) -> None:
            if not _left_to_child(owner, number, before):
                self.made = True
                with contextlib.suppress(OSError):
                    text = f"\nminidl: {signal.Signals(number).name}: {self.answer}\n"
                    os.write(2, text.encode())

        signal.signal(number, handle)
        try:
            yield
        finally:
            signal.signal(number, before)


class Signals:
    """While entered, turns signals into requests, which the solver honours between steps.

    sigint, sighup    what Ctrl-C and a hang-up do: Caffe's -sigint_effect and -sighup_effect

    SIGTERM, which job queues and container engines send, always stops the run. A second Ctrl-C
    while the first stop is still being honoured ends the run at once, without the snapshot. Files
    are renamed into place when they are complete, so even that leaves none half-written.

    stopped     the name of the signal that asked the run to stop, or ""
    status      what a shell calls the end by that signal: 128 and its number
    """

    def __init__(self, solver: Any, sigint: str, sighup: str) -> None:
        self.solver, self.stopped, self.status = solver, "", 0
        self._interrupted_at = -float("inf")
        self._owner = os.getpid()
        self._before: dict[int, Any] = {}
        self._effects: dict[int, str] = {signal.SIGINT: sigint, signal.SIGTERM: "stop"}
        if hasattr(signal, "SIGHUP"):
            self._effects[signal.SIGHUP] = sighup

    def _handle(self, number: int, frame: Any) -> None:
        if _left_to_child(self._owner, number, self._before[number]):
            return
        effect = self._effects[number]
        if effect == "stop":
            self._stop(number)
        elif effect == "snapshot":
            self.solver.request_snapshot()

    def note(self, number: int) -> None:
        """Take down that this signal stopped the run."""
        self.stopped, self.status = signal.Signals(number).name, 128 + number

    def _stop(self, number: int) -> None:
        """Ask the solver to stop, or end the run if that was asked before and Ctrl-C insists."""
        if number == signal.SIGINT:
            before, self._interrupted_at = self._interrupted_at, time.monotonic()
            if self._interrupted_at - before < ONE_KEYSTROKE_S:
                return
            if self.stopped:
                raise KeyboardInterrupt
        self.note(number)
        self.solver.request_stop()
        again = "; Ctrl-C again ends it without a snapshot" if number == signal.SIGINT else ""
        # not print: the signal may have come in the middle of one
        with contextlib.suppress(OSError):
            text = f"\nminidl: {self.stopped}: stopping after this step{again}\n"
            os.write(2, text.encode())

    def handled(self) -> contextlib.AbstractContextManager[None]:
        """Install the handlers inside the block, if this is the main thread."""
        self._before = {number: signal.getsignal(number) for number in self._effects}
        return _installed(dict.fromkeys(self._effects, self._handle))
