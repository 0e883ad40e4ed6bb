"""Losses that wait on the device until one is shown."""

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.solver import losses
from minidl.solver.losses import Iteration, PendingLosses


@pytest.fixture
def pending(device):
    return PendingLosses(Device(device), np.float32)


def add(pending, numbers, passes=1):
    """Iterations with the losses 10 i, 10 i + 1, ...; numbers of those for which there is room."""
    there, roomy = pending._device.zeros((), np.float32), []
    for i in numbers:
        if pending.has_room(passes):
            roomy.append(i)
        pending.begin(Iteration(i, range(i * passes, (i + 1) * passes)))
        for k in range(passes):
            pending._device.write(there, 10 * i + k)
            pending.add(there)
    return roomy


def taken(pending):
    return [(iteration.number, loss) for iteration, loss in pending.take()]


def test_all_are_taken_in_order_and_once(pending):
    add(pending, range(3))
    assert taken(pending) == [(0, 0.0), (1, 10.0), (2, 20.0)]
    assert taken(pending) == []
    add(pending, [3])
    assert taken(pending) == [(3, 30.0)]


def test_an_iteration_of_several_passes_has_their_mean(pending):
    add(pending, [4, 5], passes=4)
    assert taken(pending) == [(4, 41.5), (5, 51.5)]


def test_a_room_that_is_full_says_so(device, monkeypatch):
    monkeypatch.setattr(losses, "ROOM", 4)
    pending = PendingLosses(Device(device), np.float32)
    assert add(pending, range(2), passes=2) == [0, 1]
    assert not pending.has_room(1)
    assert taken(pending) == [(0, 0.5), (1, 10.5)]
    assert pending.has_room(1)


def test_an_iteration_of_more_passes_than_there_is_room_finds_room(device, monkeypatch):
    monkeypatch.setattr(losses, "ROOM", 2)
    pending = PendingLosses(Device(device), np.float32)
    assert add(pending, [1], passes=5) == [1]
    assert taken(pending) == [(1, 12.0)]
