"""CUDA graphs: recorded in the second run of a key, launched from then on."""

import gc
import logging

import numpy as np
import pytest

from minidl.arrays.cuda_graph import SWITCH, Replay
from minidl.arrays.device import Device


class Work:
    """Adds 1 to an array; counts how often Python ran it."""

    def __init__(self, device):
        self.array, self.runs = device.zeros((3,), np.float32), 0

    def __call__(self):
        self.runs += 1
        self.array += 1


@pytest.fixture
def cuda(gpu):
    return Device("cuda:0")


def repeat(replay, key, work, times):
    with replay.device.current():
        return [replay.run(key, work) for _ in range(times)]


def test_python_runs_the_work_twice_and_the_device_every_time(cuda):
    replay, work = Replay(cuda), Work(cuda)
    assert repeat(replay, "a", work, 5) == [True, True, False, False, False]
    assert work.runs == 2 and cuda.to_host(work.array).tolist() == [5, 5, 5]


def test_another_key_is_another_recording(cuda):
    replay, one, other = Replay(cuda), Work(cuda), Work(cuda)
    repeat(replay, "one", one, 3)
    repeat(replay, "other", other, 4)
    repeat(replay, "one", one, 1)
    assert cuda.to_host(one.array)[0] == 4 and cuda.to_host(other.array)[0] == 4


def test_what_was_forgotten_is_recorded_anew(cuda):
    replay, work = Replay(cuda), Work(cuda)
    repeat(replay, "a", work, 3)
    replay.forget()
    assert repeat(replay, "a", work, 3) == [True, True, False]


def test_work_that_waits_is_run_as_it_is_and_the_reason_is_said_once(cuda, caplog):
    caplog.set_level(logging.INFO, "minidl")
    replay, work = Replay(cuda), Work(cuda)

    def waits():
        work()
        float(work.array.sum().get())

    assert repeat(replay, "a", waits, 4) == [True] * 4
    assert cuda.to_host(work.array)[0] == 4
    assert "not permitted" in replay.off or "captur" in replay.off
    assert len([r for r in caplog.records if "CUDA graphs are not used" in r.message]) == 1


def test_it_can_be_switched_off(cuda, monkeypatch):
    monkeypatch.setenv(SWITCH, "0")
    replay, work = Replay(cuda), Work(cuda)
    assert repeat(replay, "a", work, 4) == [True] * 4 and SWITCH in replay.off


def test_a_processor_has_no_graphs():
    replay, work = Replay(Device("cpu")), Work(Device("cpu"))
    assert repeat(replay, "a", work, 3) == [True] * 3 and "cpu" in replay.off


def test_memory_that_the_work_allocates_stays_the_recordings_own(cuda):
    replay, work = Replay(cuda), Work(cuda)

    def allocates():
        work.array += work.array * 0 + 1

    repeat(replay, "a", allocates, 2)
    other = [cuda.zeros((3,), np.float32) for _ in range(8)]
    repeat(replay, "a", allocates, 3)
    assert cuda.to_host(work.array)[0] == 5
    assert not any(cuda.to_host(array).any() for array in other)


def test_a_recording_that_is_interrupted_is_over(cuda):
    replay, work = Replay(cuda), Work(cuda)

    def interrupted():
        work()
        if cuda.stream.is_capturing():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repeat(replay, "a", interrupted, 2)
    assert not cuda.stream.is_capturing()
    repeat(replay, "b", work, 3)
    assert cuda.to_host(work.array)[0] == 4


def test_what_is_garbage_is_not_collected_in_the_middle_of_a_recording(cuda):
    """Its end may be a call that waits, as that of pinned memory is."""

    class Waits:
        def __init__(self):
            self.itself = self  # so that only the collector ends it

        def __del__(self):
            cuda.synchronize()

    replay, work = Replay(cuda), Work(cuda)

    def litters():
        if cuda.stream.is_capturing():
            Waits()
            for _ in range(10):
                list(map(Box, range(10)))
        work()

    class Box:
        def __init__(self, number):
            self.number = number

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        assert repeat(replay, "a", litters, 3) == [True, True, False]
    finally:
        gc.set_threshold(*before)
    assert not replay.off and gc.isenabled()
