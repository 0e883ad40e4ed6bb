"""Losses that wait on the device until one is shown."""

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.solver import losses
from minidl.solver.losses import Iteration, PendingLosses


@pytest.fixture
def seen():
    return []


@pytest.fixture
def see(seen):
    return lambda iteration, loss: seen.append((iteration.number, loss))


@pytest.fixture
def pending(device):
    return PendingLosses(Device(device), np.float32)


def run(pending, see, numbers, passes=1):
    """Iterations with the losses 10 i, 10 i + 1, ..."""
    there = pending._device.zeros((), np.float32)
    for i in numbers:
        pending.begin(Iteration(i, range(i * passes, (i + 1) * passes)), see)
        for k in range(passes):
            pending._device.write(there, 10 * i + k)
            pending.add(there)


def test_nothing_is_seen_before_it_is_read_and_then_all_in_order(pending, see, seen):
    run(pending, see, range(3))
    assert seen == []
    pending.read(see)
    assert seen == [(0, 0.0), (1, 10.0), (2, 20.0)]
    pending.read(see)
    assert len(seen) == 3


def test_an_iteration_of_several_passes_has_their_mean(pending, see, seen):
    run(pending, see, [4], passes=4)
    pending.read(see)
    assert seen == [(4, 41.5)]


def test_when_the_room_is_full_they_are_read(device, monkeypatch, see, seen):
    monkeypatch.setattr(losses, "ROOM", 4)
    pending = PendingLosses(Device(device), np.float32)
    run(pending, see, range(5), passes=2)
    assert [number for number, _ in seen] == [0, 1, 2, 3]
    pending.read(see)
    assert [number for number, _ in seen] == [0, 1, 2, 3, 4]


def test_an_iteration_of_more_passes_than_there_is_room_finds_room(device, monkeypatch, see, seen):
    monkeypatch.setattr(losses, "ROOM", 2)
    pending = PendingLosses(Device(device), np.float32)
    run(pending, see, [1], passes=5)
    pending.read(see)
    assert seen == [(1, 12.0)]
