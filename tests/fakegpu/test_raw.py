"""Kernels of the fake: compiled from CUDA's source, and strict about what is passed."""

import numpy as np
import pytest

SOURCE = r"""
typedef long long Count;
extern "C" __global__ void scale(const Count n, const float* __restrict__ x, float *y,
                                 const float factor, int offset)
{
    for (Count i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = FACTOR * factor * x[i] + offset;
}
"""


@pytest.fixture
def cp(gpu):
    import cupy

    return cupy


@pytest.fixture
def scale(cp):
    return cp.RawModule(code=SOURCE, options=("-DFACTOR=10", "-std=c++17")).get_function("scale")


@pytest.fixture
def arrays(cp):
    return cp.arange(5, dtype="f4"), cp.empty(5, "f4")


def test_a_kernel_runs_with_cupys_arguments(gpu, scale, arrays):
    x, y = arrays
    before = gpu.launches
    for source, target in ((x, y), (x.data.ptr, np.uint64(y.data.ptr)), (x.data, np.intp(y.data))):
        y.fill(0)
        scale((1,), (128,), (5, source, target, np.float32(0.5), np.int32(1)))
        np.testing.assert_array_equal(y.get(), [1, 6, 11, 16, 21])
    assert gpu.launches == before + 6


def test_a_captured_kernel_keeps_its_arguments(cp, scale, arrays):
    x, y = arrays
    stream = cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        scale((1,), (1,), (5, x, y, np.float32(1), np.int32(0)))
        graph = stream.end_capture()
    x += 1
    graph.launch()
    np.testing.assert_array_equal(y.get(), [10, 20, 30, 40, 50])


WRONG = {
    "a double for a float": (3, 0.5, TypeError, r"argument 3 \(float factor\): got a float,"),
    "a NumPy double": (3, np.float64(0.5), TypeError, "got a float64"),
    "a long for an int": (4, 1, TypeError, r"argument 4 \(int offset\): got a int"),
    "an int for a long": (0, np.int32(5), TypeError, "pass numpy.int64"),
    "a NumPy array for a pointer": (1, np.ones(5, "f4"), TypeError, "no pointer"),
    "an address that is none": (2, 12345, RuntimeError, "not an address of device memory"),
    "an array for a number": (3, "y", TypeError, "takes a number"),
    "an array of another type": (1, "whole", TypeError, "an array of int32"),
}


@pytest.mark.parametrize("at, value, error, text", WRONG.values(), ids=WRONG.keys())
def test_what_the_kernel_would_misread_is_refused(cp, scale, arrays, at, value, error, text):
    x, y = arrays
    named = {"y": y, "whole": cp.zeros(5, "i4")}
    given = [5, x, y, np.float32(1), np.int32(0)]
    given[at] = named.get(value, value) if isinstance(value, str) else value
    with pytest.raises(error, match=text):
        scale((1,), (1,), tuple(given))


@pytest.mark.parametrize("grid, block", [((0,), (1,)), ((1,), (1025,)), ((1, 70000), (1,))])
def test_a_launch_that_cuda_refuses_is_refused(scale, arrays, grid, block):
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
        scale(grid, block, (5, *arrays, np.float32(1), np.int32(0)))


def test_all_arguments_are_needed(scale, arrays):
    with pytest.raises(TypeError, match="takes 5 arguments, got 3"):
        scale((1,), (1,), (5, *arrays))


def test_a_source_with_a_fault_shows_the_compilers_words(cp):
    with pytest.raises(cp.cuda.compiler.CompileException, match="nonsense"):
        cp.RawModule(code='extern "C" __global__ void f() { nonsense(); }').get_function("f")
    with pytest.raises(RuntimeError, match="no kernel 'g'"):
        cp.RawModule(code=SOURCE, options=("-DFACTOR=1",)).get_function("g")
    with pytest.raises(TypeError, match="tuple"):
        cp.RawModule(code=SOURCE, options=["-DFACTOR=1"])
