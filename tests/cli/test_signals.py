"""What signals ask of a solver."""

import os
import signal
import threading

import pytest

from minidl.cli.signals import Signals


class Solver:
    def __init__(self):
        self.asked = []

    def request_stop(self):
        self.asked.append("stop")

    def request_snapshot(self):
        self.asked.append("snapshot")


CASES = {
    "Caffe's defaults, Ctrl-C": ("stop", "snapshot", signal.SIGINT, ["stop"], "SIGINT"),
    "Caffe's defaults, hang-up": ("stop", "snapshot", signal.SIGHUP, ["snapshot"], ""),
    "Ctrl-C only snapshots": ("snapshot", "none", signal.SIGINT, ["snapshot"], ""),
    "hang-up stops": ("none", "stop", signal.SIGHUP, ["stop"], "SIGHUP"),
    "Ctrl-C does nothing": ("none", "snapshot", signal.SIGINT, [], ""),
}


@pytest.mark.parametrize("sigint, sighup, sent, asked, stopped", CASES.values(), ids=CASES.keys())
def test_a_signal_has_its_effect(sigint, sighup, sent, asked, stopped):
    solver = Solver()
    signals = Signals(solver, sigint, sighup)
    with signals.handled():
        signal.raise_signal(sent)
    assert (solver.asked, signals.stopped) == (asked, stopped)


def test_handlers_are_put_back():
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGHUP)]
    with pytest.raises(ZeroDivisionError):
        with Signals(Solver(), "stop", "snapshot").handled():
            raise ZeroDivisionError
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGHUP)] == before


def test_a_second_ctrl_c_aborts_at_once():
    signals = Signals(Solver(), "stop", "snapshot")
    with pytest.raises(KeyboardInterrupt):
        with signals.handled():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_after_a_stop_by_hang_up_aborts_but_a_second_hang_up_does_not():
    solver = Solver()
    with pytest.raises(KeyboardInterrupt):
        with Signals(solver, "stop", "stop").handled():
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGINT)
    assert solver.asked == ["stop", "stop"]


def test_each_ctrl_c_may_snapshot():
    solver = Solver()
    with Signals(solver, "snapshot", "none").handled():
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
    assert solver.asked == ["snapshot"] * 3


def test_a_closed_terminal_does_not_end_the_run():
    solver, keep = Solver(), os.dup(2)
    os.close(2)
    try:
        with Signals(solver, "stop", "stop").handled():
            signal.raise_signal(signal.SIGINT)
    finally:
        os.dup2(keep, 2)
        os.close(keep)
    assert solver.asked == ["stop"]


def test_outside_the_main_thread_signals_keep_their_meaning():
    before, seen = signal.getsignal(signal.SIGINT), []

    def run():
        with Signals(Solver(), "stop", "stop").handled():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
