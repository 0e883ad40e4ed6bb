"""What signals ask of a solver."""

import os
import signal
import threading

import pytest

from minidl.cli import main
from minidl.cli.signals import ONE_KEYSTROKE_S, Signals, terminable


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
    "a job queue's request": ("none", "none", signal.SIGTERM, ["stop"], "SIGTERM"),
    "Ctrl-C does nothing": ("none", "snapshot", signal.SIGINT, [], ""),
}


@pytest.mark.parametrize("sigint, sighup, sent, asked, stopped", CASES.values(), ids=CASES.keys())
def test_a_signal_has_its_effect(sigint, sighup, sent, asked, stopped):
    solver = Solver()
    signals = Signals(solver, sigint, sighup)
    with signals.handled():
        signal.raise_signal(sent)
    assert (solver.asked, signals.stopped) == (asked, stopped)
    assert signals.status == (128 + sent if stopped else 0)


def test_handlers_are_put_back():
    handled = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = [signal.getsignal(s) for s in handled]
    with pytest.raises(ZeroDivisionError):
        with Signals(Solver(), "stop", "snapshot").handled():
            raise ZeroDivisionError
    assert [signal.getsignal(s) for s in handled] == before


@pytest.fixture
def clock(monkeypatch):
    """What the time is said to be, in clock[0]."""
    now = [100.0]
    monkeypatch.setattr("minidl.cli.signals.time.monotonic", lambda: now[0])
    return now


def test_a_second_ctrl_c_aborts_and_the_first_says_so(clock, capfd):
    signals = Signals(Solver(), "stop", "snapshot")
    with pytest.raises(KeyboardInterrupt):
        with signals.handled():
            signal.raise_signal(signal.SIGINT)
            clock[0] += ONE_KEYSTROKE_S
            signal.raise_signal(signal.SIGINT)
    assert "Ctrl-C again ends it without a snapshot" in capfd.readouterr().err


def test_one_ctrl_c_that_arrives_twice_is_one(clock):
    """A process gets the terminal's, and once more that which its parent hands on."""
    solver = Solver()
    with Signals(solver, "stop", "snapshot").handled():
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
            clock[0] += 0.3
    assert solver.asked == ["stop"]


def test_requests_to_terminate_never_abort(clock):
    with Signals(Solver(), "stop", "snapshot").handled():
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
            clock[0] += 10


def test_outside_of_training_termination_unwinds_and_is_status_143(monkeypatch, capsys, tmp_path):
    def run(args):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            (tmp_path / "cleaned").touch()

    monkeypatch.setattr("minidl.cli.device_query.run", run)
    assert main(["device_query"]) == 143
    assert capsys.readouterr().err == "minidl: terminated\n" and (tmp_path / "cleaned").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_meaning_that_somebody_gave_to_termination_stays():
    def mine(*_):
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with terminable():
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_processes_that_a_layer_forks_can_be_stopped(sent):
    """Or the join of a data layer's own reader, after its terminate(), would wait for ever."""
    shell = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest-xdist ignores it
    with terminable(), Signals(Solver(), "stop", "snapshot").handled():
        child = os.fork()
        if not child:
            try:
                signal.raise_signal(sent)
            except KeyboardInterrupt:
                os._exit(130)
            os._exit(0)  # not reached: the signal ends it
        _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGINT, shell)
    code = os.waitstatus_to_exitcode(status)
    assert code == {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 130}[sent]
