"""Device arrays in the hands of tests, and of everybody else."""

import sys

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.arrays.memory import Memory
from tests.fakegpu.errors import Refused


@pytest.fixture
def array(gpu):
    """[0, 1, 2] on the device, in a test that may touch it."""
    import cupy

    array = cupy.arange(3, dtype=np.float32)
    with gpu.lenient_tests():
        yield array


def elsewhere(code, **names):
    """The value of an expression, as if it stood in a file of minidl's."""
    return eval(compile(code, "/minidl/made_up.py", "eval"), names | {"np": np})


def test_what_a_test_computes_is_an_array_of_the_host(array):
    for result in (2 * array, array - np.ones(3), np.ones(3) * array, np.sqrt(array), -array):
        assert isinstance(result, np.ndarray)
    np.testing.assert_array_equal(array, [0, 1, 2])
    assert (array == [0, 1, 2]).all() and array.sum() == pytest.approx(3)
    assert array[1] == 1 and float(array[2]) == 2 and array[1:].copy().tolist() == [1, 2]
    assert np.concatenate([array, array]).shape == (6,) and np.shares_memory(array, array[1:])


def test_what_a_test_writes_is_on_the_device(array):
    array[1:] = np.array([7, 8])
    array[0] += 5
    array *= 2
    part = array[:2]
    part[...] = part + 1
    np.add(array, 1, out=array)
    assert array.tolist() == [12, 16, 17]


def test_it_is_not_counted(array, gpu):
    gpu.reset()
    with gpu.strict():
        array[:] = array.copy() + 1
    assert (gpu.h2d, gpu.d2h, gpu.syncs, gpu.launches) == (0, 0, 0, 0)


def test_it_waits_for_the_streams_that_the_null_stream_waits_for(array, gpu):
    gpu.lazy, device = True, Device("cuda:0")
    with device.current():
        elsewhere("array.fill(9)", array=array)
    assert array.tolist() == [9, 9, 9]


REFUSED = {
    "an array of the host": "array + np.ones(3)",
    "from the left": "np.ones(3) + array",
    "a ufunc": "np.sqrt(array, np.ones(3))",
    "a function": "np.concatenate([array, array])",
    "conversion": "np.asarray(array)",
    "assignment": "array.__setitem__(0, np.ones(3))",
}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_code_that_is_no_tests_is_refused(array, code):
    with pytest.raises((TypeError, ValueError)):
        elsewhere(code, array=array)


def test_and_its_waits_are_counted(array, gpu):
    with gpu.strict(), pytest.raises(Refused, match=r"/minidl/made_up\.py:1"):
        elsewhere("float(array[0])", array=array)
    assert isinstance(elsewhere("np.float32(2) * array", array=array), type(array))


def test_minidls_code_is_no_tests_though_a_test_calls_it(array):
    device = Device("cuda:0")
    memory = Memory((3,), None, array, device)
    memory.assign(np.full(3, 4.0))
    assert isinstance(memory.plain(np.float32), type(array))
    with pytest.raises(TypeError, match="Implicit conversion"):
        Device("cpu").to_host(array)


def test_it_ends(gpu):
    import cupy

    before = dict(vars(cupy.ndarray))
    with gpu.lenient_tests():
        pass
    assert dict(vars(cupy.ndarray)) == before
    with pytest.raises(TypeError):
        np.asarray(sys.modules["cupy"].zeros(3))
