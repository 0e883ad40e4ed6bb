"""The device's own clock, on the fake GPU: what is run, and how often the host waits."""

from minidl.arrays.device import Device
from minidl.profile import gpu_clock


def test_the_host_waits_once_a_round(gpu, monkeypatch):
    monkeypatch.setattr(gpu_clock, "ENOUGH", 1e-9)
    device, runs = Device("cuda:0"), []
    before = gpu.syncs
    assert gpu_clock.seconds(device, lambda: runs.append(1)) >= 0
    assert gpu.syncs - before == 1 + gpu_clock.ROUNDS


def test_the_first_run_of_a_median_does_not_count(gpu):
    ran = []
    assert gpu_clock.median_ms(Device("cuda:0"), lambda: ran.append(1), 3) >= 0
    assert len(ran) == 4
