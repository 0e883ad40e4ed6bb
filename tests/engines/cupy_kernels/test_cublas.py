"""cuBLAS by ctypes: a handle of our own, in the device's stream, that may be recorded."""

import sys

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.engines.cupy_kernels import cublas
from minidl.engines.cupy_kernels.blas import Matrix, product
from minidl.engines.math import MATHS
from minidl.engines.request import Declined
from minidl.errors import RunError
from tests import fakegpu
from tests.fakegpu import libcublas


@pytest.fixture
def device(gpu):
    return Device("cuda:0")


@pytest.fixture
def gpu(monkeypatch):
    return fakegpu.install(monkeypatch)


def square(device, values):
    made = device.zeros((2, 2), np.float32)
    device.write(made, values)
    return made


def test_a_product_is_recorded_into_a_graph(gpu, device):
    """Which CuPy's own functions refuse: see tests/fakegpu/test_cublas.py."""
    a, out = square(device, [[1, 2], [3, 4]]), square(device, np.nan)
    matrices = [Matrix(device.address(x), 2) for x in (a, a, out)]
    with device.current():
        run = product(device, MATHS["float32"], (2, 2, 2), *matrices)
        device.stream.begin_capture()
        run()
        graph = device.stream.end_capture()
    device.write(a, [[0, 1], [1, 1]])
    graph.launch(device.stream)
    np.testing.assert_array_equal(device.to_host(out), [[1, 1], [1, 2]])


def test_a_call_allocates_nothing_once_there_is_a_handle(gpu, device):
    a, out = square(device, 1), square(device, 0)
    matrices = [Matrix(device.address(x), 2) for x in (a, a, out)]
    with device.current():
        cublas.cublas(device)
        with gpu.strict():
            product(device, MATHS["tf32"], (2, 2, 2), *matrices)()


def test_each_device_has_its_own_handle(monkeypatch):
    fakegpu.install(monkeypatch, devices=2)
    one, other = (cublas.cublas(Device(f"cuda:{i}")) for i in range(2))
    assert one.handle.value != other.handle.value
    assert cublas.cublas(Device("cuda:0")) is one


def test_what_it_refuses_is_an_error(gpu, device):
    a = square(device, 1)
    p = device.address(a)
    one = np.ones(1, np.float32)
    with device.current():
        run = cublas.cublas(device).bound(
            "cublasGemmEx",
            *(0, 0, 2, 2, 2, one.ctypes.data, p, 0, 1, p, 0, 2, one.ctypes.data, p, 0, 2, 68, -1),
        )
        with pytest.raises(RunError, match="cublasGemmEx failed with status"):
            run()
    assert "leading dimension is 1" in str(libcublas.errors.pop())


def test_a_number_that_does_not_fit_is_refused_and_not_cut_off(gpu, device):
    with pytest.raises(OverflowError, match=f"32 bits for what is {2**31}"):
        cublas.cublas(device).bound("cublasGemmEx", 0, 0, 2**31, *[1] * 15)


def test_a_missing_library_is_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs.cublas", None)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", None)
    answer = cublas.missing()
    assert isinstance(answer, Declined) and "cuBLAS cannot be loaded" in answer.reason
