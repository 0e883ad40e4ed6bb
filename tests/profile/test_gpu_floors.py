"""What a GPU can do, measured on the fake one: which work is timed, not how fast it is."""

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.engines.cupy_kernels import blas
from minidl.engines.math import MATHS
from minidl.profile import gpu_clock, gpu_floors
from minidl.profile.gpu_floors import DeviceMeter, copy
from tests import fakegpu


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(gpu_floors, "PRODUCTS", (8, 16))
    monkeypatch.setattr(gpu_floors, "SIZES", (1 << 10, 1 << 12))
    monkeypatch.setattr(gpu_clock, "ENOUGH", 1e-5)


@pytest.mark.parametrize("math", ["float32", "tf32", "fp16", "bf16"])
def test_products_are_multiplied_in_the_arithmetic_that_is_asked_for(gpu, small, monkeypatch, math):
    asked, original = [], blas.product

    def noted(device, math, shape, *matrices, **options):
        asked.append((math.name, shape))
        return original(device, math, shape, *matrices, **options)

    monkeypatch.setattr(blas, "product", noted)
    meter = DeviceMeter(Device("cuda:0"), MATHS[math])
    meter.measure()
    assert asked == [(math, (8, 8, 8)), (math, (16, 16, 16))]
    assert meter.speeds.product > 0 and set(meter.speeds.copies) == {1 << 10, 1 << 12}


def test_a_product_is_that_of_random_numbers(gpu, small):
    meter = DeviceMeter(Device("cuda:0"), MATHS["bf16"])
    bits = Device("cuda:0").to_host(meter._random(16)).astype(np.uint32) << 16
    assert 0.8 < bits.view(np.float32).std() < 1.2


def test_speeds_are_work_over_time_and_the_best_is_kept(gpu, small, monkeypatch):
    taken = iter([1e-3, 4e-3, 2e-3, 8e-3] + [2e-3, 2e-3, 1e-3, 9e-3])
    monkeypatch.setattr(gpu_clock, "seconds", lambda device, run: next(taken))
    meter = DeviceMeter(Device("cuda:0"), MATHS["float32"])
    meter.measure()
    assert meter.speeds.product == pytest.approx(2 * 16**3 / 4e-3)
    meter.measure()
    assert meter.speeds.product == pytest.approx(2 * 16**3 / 2e-3)
    assert meter.speeds.copies == pytest.approx({1 << 10: 2048 / 1e-3, 1 << 12: 8192 / 8e-3})


def test_a_small_gpu_is_measured_with_what_fits(monkeypatch):
    fakegpu.install(monkeypatch, memory=64 << 20)
    meter = DeviceMeter(Device("cuda:0"), MATHS["float32"])
    assert meter._products == [4096] and list(meter.speeds.copies) == [1 << 22]


def test_a_copy_copies_and_only_launches(gpu):
    device = Device("cuda:0")
    run = copy(device, 1 << 12)
    with device.current(), gpu.strict():
        run()
    assert gpu.launches + gpu.d2d >= 1
