"""Devices: by name, never a global mode; and a sentence for each way in which one is not there."""

import sys

import numpy as np
import pytest

from minidl.arrays import device
from minidl.arrays.blob import Param
from minidl.arrays.device import Device, default_device, set_device, set_mode_cpu, set_mode_gpu
from minidl.errors import DeviceError
from tests.fakegpu import CUDARuntimeError


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(device, "_default", "cpu")
    monkeypatch.setattr(device, "_gpu", 0)


def test_the_processor_computes_with_numpy():
    cpu = Device("cpu")
    assert (cpu.name, cpu.kind, cpu.xp, cpu.memory()) == ("cpu", "cpu", np, None)
    assert Device().name == "cpu" and repr(cpu) == "Device('cpu')"


@pytest.mark.parametrize("shape", [(), (3,), (5, 7)])
def test_memory_is_zeroed_and_aligned(shape):
    array = Device("cpu").zeros(shape, np.float32)
    assert array.shape == shape and array.dtype == np.float32 and not array.any()
    assert array.ctypes.data % Device("cpu").alignment == 0


def test_an_alias_is_the_same_memory_and_the_base_of_its_views():
    cpu, array = Device("cpu"), np.zeros((2, 3), np.float32)
    alias = cpu.alias(array)
    alias[4] = 7
    assert array[1, 1] == 7 and alias.reshape(2, 3)[1].base is alias


@pytest.mark.parametrize("name", ["cpu:0", "cuda:", "cuda:-1", "cuda:all", "tpu", ""])
def test_a_name_that_nothing_has_is_refused(name):
    with pytest.raises(DeviceError, match="expected: cpu, cuda, cuda:0"):
        Device(name)


def test_without_cupy_the_remedy_is_a_command(monkeypatch):
    device._cuda.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"CuPy.*(.|\n)*pip install 'cupy-cuda13x"):
        Device("cuda:0")


def test_without_a_driver_the_driver_is_named(gpu, monkeypatch):
    def refused():
        raise CUDARuntimeError("cudaErrorInsufficientDriver", "driver version is insufficient")

    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "getDeviceCount", refused)
    with pytest.raises(DeviceError, match=r"driver answers cudaError.*(.|\n)*device='cpu'"):
        Device("cuda:0")


def test_a_gpu_that_is_not_there_is_told_from_those_that_are(gpu):
    with pytest.raises(DeviceError, match="no device cuda:7(.|\n)*cuda:0"):
        Device("cuda:7")


def test_one_device_serves_all_nets_on_a_gpu(gpu):
    assert Device("cuda") is Device("cuda:0") is Device("gpu:0")
    assert Device("cuda:0").kind == "cuda" and Device("cuda:0").piece > 1 << 40


def test_numbers_travel_when_asked_and_only_then(gpu):
    cuda = Device("cuda:0")
    array = cuda.zeros((2, 3), np.float32)
    cuda.write(array, np.arange(6).reshape(2, 3))
    cuda.write(array[:, 1], 9)  # not contiguous
    assert np.array_equal(cuda.to_host(array), [[0, 9, 2], [3, 9, 5]])
    with pytest.raises(TypeError):
        np.asarray(array)


def test_an_alias_on_a_gpu_shows_the_same_memory(gpu):
    cuda = Device("cuda:0")
    array = cuda.zeros((4,), np.float32)
    cuda.write(cuda.alias(array), [1, 2, 3, 4])
    assert cuda.to_host(array).tolist() == [1, 2, 3, 4]
    assert cuda.alias(array)[1:][1:].base is not array


def test_too_little_memory_says_how_much_there_is(gpu):
    gpu.total = 1 << 20
    with pytest.raises(DeviceError, match="has not 9.54 MiB left(.|\n)*smaller batch_size"):
        Device("cuda:0").bytes_(10_000_000)


def test_set_device_is_for_nets_to_come(gpu):
    set_device("cuda:0")
    assert default_device().name == "cuda:0"
    set_mode_cpu()
    assert default_device().name == "cpu"
    set_device(0)  # pycaffe: which GPU, not that one be used
    assert default_device().name == "cpu"
    set_mode_gpu()
    assert default_device().name == "cuda:0"
    with pytest.raises(DeviceError):
        set_device(5)


def test_without_a_gpu_pycaffes_calls_leave_the_cpu_and_say_so_once(monkeypatch, caplog):
    def absent():
        raise DeviceError("no GPU can be used: a test says so")

    monkeypatch.setattr(device, "_cupy", absent)
    device._say_of_cpu.cache_clear()
    for _ in range(2):
        set_device(3)
        set_mode_gpu()
    assert default_device().name == "cpu"
    assert [record.getMessage() for record in caplog.records] == [
        "the program asks for a GPU, but the CPU computes: no GPU can be used: a test says so"
    ]
    with pytest.raises(DeviceError):
        set_device("cuda:0")


@pytest.mark.parametrize(
    "there, back", [("cpu", "cuda:0"), ("cuda:0", "cpu"), ("cuda:0", "cuda:0")]
)
def test_parameters_move_from_device_to_device(gpu, there, back):
    source, target = (Param("w", (2, 3), Device(name), np.float32) for name in (there, back))
    source.data = np.arange(6).reshape(2, 3)
    target.data = source.data
    target.diff = source.data
    for kind in ("data", "diff"):
        values = Device(back).to_host(target.read(kind))
        assert np.array_equal(values, [[0, 1, 2], [3, 4, 5]])
