"""Threads that share work: everybody does a part, failures come out, a fork does no harm."""

import os
import signal
import threading

import numpy as np
import pytest

from minidl.solver import workers


def test_two_shares_are_done_at_the_same_time_one_by_the_caller():
    meeting = threading.Barrier(2)  # whoever comes first waits for the other
    done = {}

    def work(share):
        meeting.wait(timeout=30)
        done[share] = threading.get_ident()

    workers.share(work, 2)
    assert done[0] == threading.get_ident() != done[1]


def test_there_may_be_more_shares_than_cores():
    done = []
    workers.share(done.append, 100)
    assert sorted(done) == list(range(100))


def test_no_more_threads_are_made_than_there_are_cores():
    seen = set()
    for _ in range(20):
        workers.share(lambda share: seen.add(threading.get_ident()), 5)
    assert len(seen) <= 1 + os.cpu_count()


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_failure_comes_out_when_all_have_ended(bad):
    ended = []

    def work(share):
        try:
            if share == bad:
                raise ValueError(f"share {share}")
        finally:
            ended.append(share)

    with pytest.raises(ValueError, match=f"share {bad}"):
        workers.share(work, 3)
    assert sorted(ended) == [0, 1, 2]


def test_every_share_sees_the_callers_error_state():
    states = {}
    with np.errstate(over="ignore", divide="raise"):
        workers.share(lambda share: states.update({share: np.geterr()}), 3)
    assert states[0] == states[1] == states[2]
    assert states[2]["over"] == "ignore" and states[2]["divide"] == "raise"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_makes_threads_of_its_own():
    workers.share(lambda share: None, 2)
    child = os.fork()
    if child == 0:  # threads of the parent would never answer here
        signal.alarm(20)
        status = 1
        try:
            done = []
            workers.share(done.append, 2)
            status = 0 if sorted(done) == [0, 1] else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
