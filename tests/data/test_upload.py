"""Batches reach the GPU in time, whole, and without a wait."""

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.data.batches import Batch
from minidl.data.upload import Upload


def batch(number, n=4):
    return Batch((np.full((n, 2, 3, 3), number, "f4"), np.full(n, number, "f4")), [])


@pytest.fixture(params=[False, True], ids=["", "late"])
def gpu(gpu, request):
    """Streams that work at once, and such that work when they have to."""
    gpu.lazy = request.param
    return gpu


@pytest.fixture
def there(gpu):
    """A device with a top for data and one for labels."""
    device = Device("cuda:0")
    return device, [device.zeros((4, 2, 3, 3), "f4"), device.zeros((4,), "f4")]


def test_each_batch_arrives_while_the_next_is_on_its_way(there, gpu):
    device, tops = there
    back = []
    upload = Upload(device, back.append)
    sent = [batch(n) for n in range(5)]
    upload.start(0, sent[0])
    for n in range(4):
        assert upload.number == n and upload.batch is sent[n]
        upload.deliver(tops)
        assert upload.number is None
        upload.start(n + 1, sent[n + 1])
        assert (device.to_host(tops[0]) == n).all() and (device.to_host(tops[1]) == n).all()
    assert len(back) == 3 or gpu.lazy  # given back as soon as they are known to be read
    assert all(a is b for a, b in zip(back, sent, strict=False))


def test_labels_that_nobody_wants_stay_behind(there):
    device, tops = there
    upload = Upload(device, lambda _: None)
    upload.start(0, batch(7))
    upload.deliver(tops[:1])
    assert (device.to_host(tops[0]) == 7).all() and not device.to_host(tops[1]).any()


def test_a_batch_of_another_shape_finds_room(gpu):
    device = Device("cuda:0")
    upload = Upload(device, lambda _: None)
    for n in (4, 2, 6):
        top = device.zeros((n, 2, 3, 3), "f4")
        upload.start(n, batch(n, n))
        upload.deliver([top])
        assert (device.to_host(top) == n).all()


def test_nothing_waits_and_nothing_is_allocated_once_it_runs(there, gpu):
    device, tops = there
    upload = Upload(device, lambda _: None)
    for n in range(2):
        upload.start(n, batch(n))
        upload.deliver(tops)
    with gpu.strict(transfers=False):
        upload.start(2, batch(2))
        upload.deliver(tops)


def test_its_memory_is_let_go_when_the_copy_into_it_has_ended(gpu):
    upload = Upload(Device("cuda:0"), lambda _: None)
    upload.start(0, batch(0))
    copying, waits = upload._copying, gpu.syncs
    del upload
    assert gpu.syncs == waits + 1 and copying.done
