"""What a launch is made of: its grid, its arguments, and when the wide build is taken."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from minidl.engines.cupy_kernels import source
from minidl.engines.cupy_kernels.launch import kernel

TEXT = """
KERNEL void each(const Index count, const float *x, const int k, const float slope) { }
ROW_KERNEL void row(const Index count, const long long length) { }
"""
X = 1 << 40  # an address


class PaperDevice:
    """Notes what is compiled and launched; has 2 multiprocessors."""

    index = 0

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.launches: list[tuple] = []
        runtime = SimpleNamespace(getDeviceProperties=lambda index: {"multiProcessorCount": 2})
        self.xp = SimpleNamespace(RawModule=self._module, cuda=SimpleNamespace(runtime=runtime))

    def _module(self, code):
        self.compiled.append(code)
        return SimpleNamespace(
            get_function=lambda name: lambda *a: self.launches.append((name, *a))
        )


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(source, "_read", {"paper.cu": TEXT}.__getitem__)
    source.signatures.cache_clear()
    yield PaperDevice()
    source.signatures.cache_clear()


@pytest.mark.parametrize(
    "name, count, blocks",
    [("each", 1, 1), ("each", 256, 1), ("each", 257, 2), ("each", 10**6, 64)]
    + [("row", 1, 1), ("row", 8, 1), ("row", 9, 2), ("row", 10**6, 64)],
)
def test_there_is_a_thread_for_each_turn_or_a_warp_up_to_a_full_gpu(device, name, count, blocks):
    arguments = (X, 1, 0.5) if name == "each" else (5,)
    kernel(device, "paper", name)(count, *arguments)
    (launch,) = device.launches
    assert launch[:3] == (name, (blocks,), (256,))


def test_arguments_have_the_types_of_the_signature(device):
    kernel(device, "paper", "each")(7, X, 3, 0.1)
    given = device.launches[0][-1]
    assert given == (7, X, 3, np.float32(0.1))
    assert [type(a) for a in given] == [np.int32, np.uint64, np.int32, np.float32]


@pytest.mark.parametrize(
    "arguments, why",
    [
        ((X, 3), r"takes 4 arguments \(count, x, k, slope\)"),
        ((3, 3, 0.1), "x, an address, was given 3"),
        ((0.5, 3, 0.1), "x, an address, was given 0.5"),
        ((np.zeros(2), 3, 0.1), "x, an address, was given array"),
        ((X, X, 0.1), "k, an integer of 32 bits"),
        ((X, 3.0, 0.1), "k, an integer, was given 3.0"),
        ((X, True, 0.1), "k, an integer, was given True"),
        ((X, 3, 1), "slope, a float, was given 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_when_bound(device, arguments, why):
    with pytest.raises(TypeError, match=f"(?s)paper.cu: each.*{why}"):
        kernel(device, "paper", "each").bind(7, *arguments)


def test_a_null_pointer_may_be_passed(device):
    kernel(device, "paper", "each")(7, 0, 3, 0.1)
    assert device.launches[0][-1][1] == 0


def test_binding_launches_nothing_and_a_bound_kernel_launches_every_time(device):
    run = kernel(device, "paper", "each").bind(7, X, 3, 0.1)
    assert device.launches == []
    run()
    run()
    assert len(device.launches) == 2


def test_single_arguments_may_change_between_launches(device):
    run = kernel(device, "paper", "each").bind(7, X, 3, 0.5)
    run()
    run.change(slope=0.25, x=2 * X)
    run()
    assert [launch[-1] for launch in device.launches] == [(7, X, 3, 0.5), (7, 2 * X, 3, 0.25)]
    assert type(device.launches[1][-1][3]) is np.float32
    with pytest.raises(TypeError, match="a float, was given 1"):
        run.change(slope=1)
    with pytest.raises(AssertionError, match="no parameters"):
        run.change(slop=0.5)


def test_a_source_is_compiled_once_for_each_device_and_set_of_defines(device):
    for defines in ({}, {}, {"K": 1}, {}):
        kernel(device, "paper", "each", **defines)(7, X, 3, 0.1)
        kernel(device, "paper", "row", **defines)(7, 3)
    assert device.compiled == [TEXT, "#define K 1\n" + TEXT]
    another = PaperDevice()
    kernel(another, "paper", "each")(7, X, 3, 0.1)
    assert another.compiled == [TEXT]


@pytest.mark.parametrize("name, turns", [("each", 2**31 - 1), ("row", 2**26)])
def test_counts_that_an_int_would_overflow_at_take_the_wide_build(device, name, turns):
    arguments = (X, 1, 0.5) if name == "each" else (5,)
    kernel(device, "paper", name)(turns, *arguments)
    assert device.compiled == ["#define WIDE 1\n" + TEXT]
    assert type(device.launches[0][-1][0]) is np.int64


def test_over_nothing_nothing_is_launched(device):
    kernel(device, "paper", "each")(0, X, 3, 0.1)
    assert device.launches == []
