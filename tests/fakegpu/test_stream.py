"""Streams, events and graphs of the fake: what CUDA writes down, orders and refuses."""

import numpy as np
import pytest

from tests import fakegpu
from tests.fakegpu import CUDARuntimeError


@pytest.fixture
def cp(gpu):
    import cupy

    return cupy


def ones(cp, *shape):
    return cp.ones(shape, "f4")


def test_a_capture_writes_down_and_each_launch_does_it(cp, gpu):
    x, y, z, stream = ones(cp, 3), ones(cp, 3), ones(cp, 3), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        assert stream.is_capturing()
        x += 1
        cp.multiply(x, x, out=y)
        z[...] = y
        z[0] = 0
        graph = stream.end_capture()
    assert not stream.is_capturing()
    np.testing.assert_array_equal(x.get(), 1)
    graph.upload(stream)
    before = gpu.launches
    for value in (2, 3):
        graph.launch(stream)
        np.testing.assert_array_equal(x.get(), value)
        np.testing.assert_array_equal(z.get(), [0, value**2, value**2])
    assert (gpu.launches, gpu.graphs) == (before, 2)


def test_a_capture_can_also_do_the_work_at_once(cp, gpu):
    gpu.eager_capture = True
    x, stream = ones(cp, 1), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        x += 1
        graph = stream.end_capture()
    assert x.item() == 2
    graph.launch()
    assert x.item() == 3


WHILE_CAPTURING = {
    "new arrays": lambda cp, x: x + 1,
    "pageable memory to the device": lambda cp, x: x.set(np.zeros(3, "f4")),
    "a copy to the host": lambda cp, x: x.get(),
    "a hidden wait": lambda cp, x: float(x[0]),
    "waiting for the stream": lambda cp, x: cp.cuda.get_current_stream().synchronize(),
    "waiting for the device": lambda cp, x: cp.cuda.runtime.deviceSynchronize(),
    "a first cuBLAS handle": lambda cp, x: cp.cuda.device.get_cublas_handle(),
    "a product, which needs such a handle": lambda cp, x: cp.dot(x, x, out=x[0]),
    "the null stream": lambda cp, x: _with(cp.cuda.Stream.null, lambda: x.fill(1)),
    "a second capture": lambda cp, x: cp.cuda.get_current_stream().begin_capture(),
}


def _with(stream, call):
    with stream:
        call()


@pytest.mark.parametrize("call", WHILE_CAPTURING.values(), ids=WHILE_CAPTURING.keys())
def test_what_cannot_be_captured_is_refused(cp, call):
    x, stream = ones(cp, 3), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        with pytest.raises(CUDARuntimeError, match="Capture|IllegalState"):
            call(cp, x)
        if call is WHILE_CAPTURING["a second capture"]:
            stream.end_capture()
            return
        with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
            stream.end_capture()
        assert not stream.is_capturing()


def test_arrays_made_while_capturing_come_from_a_pool_that_is_kept(cp):
    x, y, pool, stream = ones(cp, 3), ones(cp, 3), cp.cuda.MemoryPool(), cp.cuda.Stream()
    with stream, cp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        y[...] = x * 2 + x.sum()
        graph = stream.end_capture()
    x.fill(3)
    graph.launch()
    np.testing.assert_array_equal(y.get(), 15)


def test_number_types_that_do_not_go_together_are_refused_while_capturing(cp):
    x, whole, stream = ones(cp, 3), cp.zeros(3, "i4"), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        with pytest.raises(TypeError):
            cp.add(x, x, out=whole)
        stream.end_capture()


def test_pinned_memory_can_be_captured_and_is_read_at_each_launch(cp):
    import cupyx

    host, back = cupyx.zeros_pinned(3, "f4"), cupyx.zeros_pinned(3, "f4")
    x, stream = ones(cp, 3), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        x.set(host)
        x += 1
        x.get(out=back, blocking=False)
        graph = stream.end_capture()
    host[:] = 4
    graph.launch()
    np.testing.assert_array_equal(back, 5)


def test_the_null_stream_cannot_capture(cp):
    with pytest.raises(RuntimeError, match="cannot capture on the default"):
        cp.cuda.Stream.null.begin_capture()


def test_a_graph_that_works_on_freed_memory_is_refused(cp):
    x, stream = ones(cp, 3), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        x += 1
        graph = stream.end_capture()
    del x
    with pytest.raises(CUDARuntimeError, match=r"has been freed.*test_stream\.py"):
        graph.launch()


def test_a_second_stream_joins_by_events_and_has_to_be_waited_for(cp):
    def capture(join):
        x, y = ones(cp, 3), ones(cp, 3)
        first, second = cp.cuda.Stream(), cp.cuda.Stream(non_blocking=True)
        with first:
            first.begin_capture()
            x += 1
            second.wait_event(first.record())
            with second:
                cp.add(x, 1, out=y)
            if join:
                first.wait_event(second.record())
            return first.end_capture(), (x, y)

    graph, (x, y) = capture(join=True)
    graph.launch()
    np.testing.assert_array_equal(y.get(), 3)
    with pytest.raises(CUDARuntimeError, match="Unjoined"):
        capture(join=False)


def test_lazy_work_waits_until_it_is_waited_for(cp, gpu):
    import cupyx

    gpu.lazy = True
    stream, host, x = cp.cuda.Stream(non_blocking=True), cupyx.zeros_pinned(3, "f4"), ones(cp, 3)
    with stream:
        x.set(host)
        host[:] = 5  # too early: this is what the device will see
        stream.synchronize()
        assert (x.get() == 5).all()

        pageable = np.full(3, 7, "f4")
        x.set(pageable)
        pageable[:] = 8  # CUDA has read it before the call returned
        assert (x.get() == 7).all()

        x.set(host)
        copied = stream.record()
        copied.synchronize()
        host[:] = 6
        assert (x.get() == 5).all()


def test_lazy_streams_do_not_wait_for_one_another_without_events(cp, gpu):
    gpu.lazy = True
    x, y = ones(cp, 3), ones(cp, 3)
    first, second = (cp.cuda.Stream(non_blocking=True) for _ in range(2))
    for wait, expected in ((False, 1), (True, 3)):
        with first:
            x += 1
        if wait:
            second.wait_event(first.record())
        with second:
            cp.multiply(x, 1, out=y)
            assert (y.get() == expected).all()
        first.synchronize()


def test_the_null_stream_comes_after_blocking_streams(cp, gpu):
    gpu.lazy = True
    x = ones(cp, 3)
    with cp.cuda.Stream():
        x += 1
    x *= 3
    assert (x.get() == 6).all()


def test_streams_and_devices_are_current_within_their_blocks(monkeypatch):
    fakegpu.install(monkeypatch, devices=2)
    import cupy as cp

    outer, inner = cp.cuda.Stream(), cp.cuda.Stream()
    with outer:
        with inner:
            assert cp.cuda.get_current_stream() == inner
        assert cp.cuda.get_current_stream() == outer
        with cp.cuda.Device(1):
            assert cp.cuda.get_current_stream() == cp.cuda.Stream.null
            with pytest.raises(RuntimeError, match="created on device 0"):
                inner.__enter__()
    assert cp.cuda.get_current_stream().ptr == 0
    with pytest.raises(CUDARuntimeError, match="cudaErrorInvalidDevice"):
        cp.cuda.Device(2).use()


def test_without_a_gpu_cupy_says_so(monkeypatch):
    fakegpu.install(monkeypatch, devices=0)
    import cupy as cp

    assert not cp.is_available()
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="cudaErrorNoDevice"):
        cp.cuda.runtime.getDeviceCount()


def test_time_passes_between_events(cp):
    start, end = cp.cuda.Event(), cp.cuda.Event()
    start.record()
    end.record()
    end.synchronize()
    assert cp.cuda.get_elapsed_time(start, end) >= 0
    with pytest.raises(CUDARuntimeError):
        cp.cuda.get_elapsed_time(start, cp.cuda.Event())
