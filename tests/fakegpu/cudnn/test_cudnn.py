"""The fake cuDNN itself: that it computes the definitions, and refuses what it has to."""

from __future__ import annotations

import ctypes
import gc
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl.arrays.device import Device
from minidl.engines.cudnn import api, library
from minidl.engines.cudnn.descriptors import Convolution, Filter, Pooling, Tensor
from minidl.engines.cudnn.library import CudnnError
from minidl.engines.math import MATHS
from tests import fakegpu
from tests.fakegpu import cudnn as fake_cudnn


@pytest.fixture(scope="module")
def fake():
    with pytest.MonkeyPatch.context() as patch:
        gpu = fakegpu.install(patch)
        made = fake_cudnn.install(patch, gpu)
        yield made
        made.close()
        gpu.check()


def call(name, *args):
    """A call on the first device; arrays there are passed by their addresses."""
    device = Device("cuda:0")
    given = [device.address(a) if isinstance(a, device.xp.ndarray) else a for a in args]
    with device.current():
        library.cudnn().call(f"cudnn{name}", library.cudnn().handle(device), *given)


def on_device(values, dtype=np.float32):
    device = Device("cuda:0")
    values = np.ascontiguousarray(values, dtype)
    array = device.zeros(values.shape, dtype)
    device.write(array, values)
    return array


def host(array):
    return Device("cuda:0").to_host(array)


# ------------------------------------------------------------------ numbers


def scaled(bits, dtype, factor):
    """Stored numbers times a factor, as the fake rounds the products."""
    array, x = on_device(bits, np.uint16), Tensor((1, 1, 1, len(bits)), dtype)
    times(factor, x, array)
    return host(array)


def times(factor, x, array):
    """array = factor * array + 0 * array"""
    call("AddTensor", api.factor(factor), x, array, api.ZERO, x, array)


@pytest.mark.parametrize("factor", [1.0, 1 / 3, 2.0**-7, 3.0])
def test_half_numbers_are_numpys(fake, factor):
    every = np.arange(1 << 16).astype(np.uint16)
    with np.errstate(over="ignore", invalid="ignore"):
        products = every.view(np.float16).astype(np.float64) * np.float32(factor)
        expected = products.astype(np.float32).astype(np.float16)
    found = scaled(every, "float16", factor).view(np.float16)
    np.testing.assert_array_equal(found, expected)  # one NaN counts as another


@pytest.mark.parametrize("factor", [1.0, 1 / 3, 2.0**-7, 3.0])
def test_bfloat16_numbers_are_the_nearest(fake, factor):
    """Of the two around a product the nearer one, of two equally near ones the even one."""
    bits = np.arange(0, 0x7E00, dtype=np.uint16)  # 3 times the last one is still no infinity
    product = ((bits.astype(np.uint32) << 16).view(np.float32) * np.float32(factor)).astype(float)
    below = (product.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    around = [
        (b.astype(np.uint32) << 16).view(np.float32).astype(float) for b in (below, below + 1)
    ]
    low, high = product - around[0], around[1] - product
    up = (high < low) | ((high == low) & (below % 2 == 1))
    np.testing.assert_array_equal(scaled(bits, "bfloat16", factor), below + up)


def test_only_fma_keeps_all_of_a_float(fake):
    """1 + 2**-12 has more bits than TF32's ten."""
    x, y = on_device([[[[1 + 2.0**-12]]]]), on_device([[[[np.nan]]]])
    one, filters = Tensor((1, 1, 1, 1)), Filter((1, 1, 1, 1))
    ones = on_device([[[[1.0]]]])
    for math, expected in [("float32", 1 + 2.0**-12), ("tf32", 1.0)]:
        conv = Convolution((0, 0), (1, 1), (1, 1), math=MATHS[math])
        where = (conv, 0, None, 0, api.ZERO, one, y)
        call("ConvolutionForward", api.ONE, one, x, filters, ones, *where)
        assert host(y).item() == expected


# ------------------------------------------------------------------ convolution


def correlated(x, w, conv, groups):
    """The definition, one product after the other."""
    pad, stride, dilation = conv
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, p, s, d in zip(x.shape[2:], w.shape[2:], pad, stride, dilation, strict=True)
    ]
    y = np.zeros((len(x), len(w), *out))
    each = len(w) // groups
    for n, k, c, *o in itertools.product(*map(range, (len(x), len(w), w.shape[1], *out))):
        for r in itertools.product(*map(range, w.shape[2:])):
            at = [a * s - p + b * d for a, b, s, p, d in zip(o, r, stride, pad, dilation)]  # noqa: B905
            if all(0 <= i < size for i, size in zip(at, x.shape[2:], strict=True)):
                y[(n, k, *o)] += w[(k, c, *r)] * x[(n, k // each * w.shape[1] + c, *at)]
    return y


@st.composite
def convolutions(draw):
    axes, groups = draw(st.sampled_from([2, 3])), draw(st.integers(1, 2))
    each = st.tuples(*[st.integers(1, 4)] * axes)
    size, kernel, stride = draw(each), draw(each), draw(each)
    pad, dilation = (tuple(draw(st.tuples(*[st.integers(*r)] * axes))) for r in ((0, 2), (1, 2)))
    spans = zip(size, kernel, pad, dilation, strict=True)
    assume(all(n + 2 * p >= d * (k - 1) + 1 for n, k, p, d in spans))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.standard_normal((2, 2 * groups, *size)).astype(np.float32)
    w = rng.standard_normal((3 * groups, 2, *kernel)).astype(np.float32)
    return x, w, (pad, stride, dilation), groups, draw(st.sampled_from(["nchw", "nhwc"]))


def arranged(values, order):
    return np.moveaxis(values, 1, -1) if order == "nhwc" else values


def plain(values, order):
    return np.moveaxis(values, -1, 1) if order == "nhwc" else values


@settings(max_examples=30)
@given(convolutions())
def test_the_passes_of_a_convolution_are_the_definition_and_its_transposes(fake, case):
    x, w, geometry, groups, order = case
    expected = correlated(x.astype(float), w.astype(float), geometry, groups)
    conv = Convolution(*geometry, groups)
    tensors = Tensor(x.shape, order=order), Tensor(expected.shape, order=order)
    filters = Filter(w.shape, order=order)
    dy = np.random.default_rng(1).standard_normal(expected.shape).astype(np.float32)
    arrays = [on_device(arranged(each, order)) for each in (x, w, dy)]
    of = dict(zip("xwy", zip((tensors[0], filters, tensors[1]), arrays, strict=True), strict=True))

    def run(way, inputs, out, algorithm):
        target = on_device(arranged(np.full(out.shape, np.nan), order))
        pairs = [each for name in inputs for each in of[name]]
        desc = of[{"ConvolutionForward": "y", "ConvolutionBackwardData": "x"}.get(way, "w")][0]
        call(way, api.ONE, *pairs, conv, algorithm, None, 0, api.ZERO, desc, target)
        return plain(host(target), order)

    y = run("ConvolutionForward", "xw", expected, 0)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    # Backward is what makes these three sums equal, whatever dy is.
    dx = run("ConvolutionBackwardData", "wy", x, 1).astype(float)
    dw = run("ConvolutionBackwardFilter", "xy", w, 1).astype(float)
    total = (expected * dy).sum()
    size = np.abs(expected * dy).sum() + 1
    assert abs((dx * x).sum() - total) < 1e-6 * size
    assert abs((dw * w).sum() - total) < 1e-6 * size


@pytest.fixture
def small(fake):
    """A 3 x 3 convolution, ready to be called with an algorithm and a workspace."""
    x, w = Tensor((1, 2, 6, 6)), Filter((2, 2, 3, 3))
    conv = Convolution((1, 1), (1, 1), (1, 1))
    arrays = [on_device(np.ones(d)) for d in ((1, 2, 6, 6), (2, 2, 3, 3), (1, 2, 6, 6))]

    def run(algorithm, room=None, size=0, y=arrays[2], beta=api.ZERO, x_at=arrays[0]):
        where = (conv, api.FORWARD_ALGORITHMS.index(algorithm), room, size, beta, x, y)
        call("ConvolutionForward", api.ONE, x, x_at, w, arrays[1], *where)
        return host(y)[0, 0, 2, 2]

    run.arguments, run.arrays = (x, w, conv, x), arrays
    return run


def listed(function, *args):
    count, found = ctypes.c_int(), (api.Perf * 20)()
    call(function, *args, 20, ctypes.byref(count), found)
    return found[: count.value]


def test_the_old_values_count_as_beta_says(small):
    small.arrays[2].fill(np.nan)
    assert small("implicit_gemm") == 18
    assert small("implicit_gemm", beta=api.ONE) == 36


def test_an_algorithm_needs_the_workspace_it_said(small):
    perfs = listed("GetConvolutionForwardAlgorithm_v7", *small.arguments)
    assert [api.FORWARD_ALGORITHMS[p.algo] for p in perfs if p.status] == ["direct"]
    sizes = {api.FORWARD_ALGORITHMS[p.algo]: p.memory for p in perfs if not p.status}
    assert sizes["implicit_gemm"] == 0 and sizes["fft"] > sizes["fft_tiling"] > sizes["gemm"] > 0
    size = sizes["gemm"]
    room = on_device(np.zeros(size), np.uint8)
    assert small("gemm", room, size) == 18
    assert (host(room) == 0xFF).all()  # nobody may keep anything there
    for wrong in [(None, size), (room, size - 1), (None, 0)]:
        with pytest.raises(CudnnError, match="the workspace is too small, or NULL"):
            small("gemm", *wrong)


def test_what_a_chip_does_not_have_is_listed_last_and_refused(small, fake):
    fake.decline("forward", "winograd")
    perfs = listed("GetConvolutionForwardAlgorithm_v7", *small.arguments)
    assert [api.FORWARD_ALGORITHMS[p.algo] for p in perfs[-2:]] == ["winograd", "direct"]
    assert all(library.cudnn().unsupported(p.status) for p in perfs[-2:])
    with pytest.raises(CudnnError, match="this chip does not have this algorithm") as error:
        small("winograd")
    assert error.value.unsupported
    fake.decline("forward", "winograd", off=False)


def test_measuring_overwrites_what_it_measures(small):
    x, w, conv, y = small.arguments
    arrays, perfs = small.arrays, (api.Perf * 20)()
    count = ctypes.c_int()
    pairs = (x, arrays[0], w, arrays[1], conv, y, arrays[2])
    found = (20, ctypes.byref(count), perfs, None, 0)
    call("FindConvolutionForwardAlgorithmEx", *pairs, *found)
    assert np.isnan(host(arrays[2])).all()
    assert [api.FORWARD_ALGORITHMS[p.algo] for p in perfs[: count.value] if not p.status] == [
        "implicit_gemm"  # the only one without workspace
    ]
    assert perfs[0].time > 0


def test_arrays_that_overlap_are_refused(small):
    with pytest.raises(CudnnError, match="arrays or workspace overlap"):
        small("implicit_gemm", y=small.arrays[0])


def test_memory_of_the_host_is_refused(small):
    host_array = np.ones((1, 2, 6, 6), np.float32)
    with pytest.raises(CudnnError, match="not in one piece of device memory"):
        small("implicit_gemm", x_at=host_array.ctypes.data)


def test_a_destroyed_descriptor_is_refused(fake):
    x = Tensor((1, 1, 1, 1))
    pointer = x._as_parameter_
    del x
    with pytest.raises(CudnnError, match="is none, or was destroyed"):
        times(1.0, pointer, on_device([1.0]))


# ------------------------------------------------------------------ the least convenient way


def test_a_tie_goes_to_the_last(fake):
    x, y = Tensor((1, 1, 1, 3)), Tensor((1, 1, 1, 1))
    values, top, dx = on_device([5.0, 5.0, 5.0]), on_device([np.nan]), on_device([np.nan] * 3)
    pooling = Pooling(api.POOLING_MAX, (1, 3), (0, 0), (1, 1))
    call("PoolingForward", pooling, api.ONE, x, values, api.ZERO, y, top)
    given = (y, top, y, on_device([2.0]), x, values)
    call("PoolingBackward", pooling, api.ONE, *given, api.ZERO, x, dx)
    assert host(top).tolist() == [5.0] and host(dx).tolist() == [0.0, 0.0, 2.0]


def test_a_top_that_was_overwritten_shows(fake):
    x, y = Tensor((1, 1, 1, 3)), Tensor((1, 1, 1, 1))
    values, dx = on_device([1.0, 5.0, 2.0]), on_device([0.0] * 3)
    pooling = Pooling(api.POOLING_MAX, (1, 3), (0, 0), (1, 1))
    given = (y, on_device([0.0]), y, on_device([2.0]), x, values)
    call("PoolingBackward", pooling, api.ONE, *given, api.ZERO, x, dx)
    assert np.isnan(host(dx)[1])


def test_graphs_hold_the_calls(fake):
    device, x = Device("cuda:0"), Tensor((1, 1, 1, 2))
    array = on_device([1.0, 3.0])
    stream = device.stream
    with device.current():
        stream.begin_capture()
        times(2.0, x, array)
        graph = stream.end_capture()
        assert host(array).tolist() == [1.0, 3.0]
        for _ in range(2):
            graph.launch()
    assert host(array).tolist() == [4.0, 12.0]
    assert fake.works() == 1  # in the graph; what ran outside of one is forgotten
    del graph
    gc.collect()
    assert fake.works() == 0


def test_measuring_is_no_work_for_a_graph(small):
    device = Device("cuda:0")
    x, w, conv, y = small.arguments
    pairs = (x, small.arrays[0], w, small.arrays[1], conv, y, small.arrays[2])
    with device.current():
        device.stream.begin_capture()
        with pytest.raises(CudnnError, match="cudaErrorStreamCaptureUnsupported"):
            found = (20, ctypes.byref(ctypes.c_int()), (api.Perf * 20)(), None, 0)
            call("FindConvolutionForwardAlgorithmEx", *pairs, *found)
        with pytest.raises(fakegpu.CUDARuntimeError, match="Invalidated"):
            device.stream.end_capture()
