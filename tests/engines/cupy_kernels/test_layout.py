"""Dense layouts on a GPU: what they take, what they are called, what they do to numbers."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.arrays.memory import Memory, place
from minidl.engines.cupy_kernels.layout import Dense

SHAPES = [(2, 3, 5, 4), (2, 3, 7), (1, 3, 2, 3, 4), (4, 6), (5,), (2, 1, 3, 3)]
LAYOUTS = [("float16", "nchw"), ("float16", "nhwc"), ("bfloat16", "nhwc"), ("float32", "nhwc")]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype, order", LAYOUTS)
def test_small_integers_come_back_as_they_were(gpu, shape, dtype, order):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 7
    memory = place(shape, Dense(shape, dtype, order), np.float32, Device("cuda"))
    memory.assign(values)
    back = memory.plain(np.float32)
    np.testing.assert_array_equal(memory.device.to_host(back), values)


def test_channels_last_in_half_precision_is_what_numpy_makes_of_it(gpu):
    values = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    memory = place(values.shape, Dense(values.shape, "float16", "nhwc"), np.float32, Device("cuda"))
    memory.assign(values)
    held = memory.device.to_host(memory.array).view(np.float16).reshape(2, 5, 4, 3)
    np.testing.assert_array_equal(held, values.transpose(0, 2, 3, 1).astype(np.float16))


def test_a_float64_array_is_packed_and_unpacked_too(gpu):
    device = Device("cuda")
    layout = Dense((2, 3, 4), "bfloat16", "nhwc")
    memory = Memory((2, 3, 4), layout, device.bytes_(layout.nbytes), device)
    values = np.arange(24.0).reshape(2, 3, 4)
    memory.assign(device.xp.asarray(values))
    plain = memory.plain(np.float64)
    assert plain.dtype == np.float64
    np.testing.assert_array_equal(device.to_host(plain), values)


def test_a_layout_is_a_value_with_a_name_and_a_size():
    one, same = (Dense((2, 3, 5, 4), "float16", "nhwc") for _ in range(2))
    assert one == same and hash(one) == hash(same)
    assert one != Dense((2, 3, 5, 4), "bfloat16", "nhwc") != Dense((2, 3, 5, 4), "bfloat16")
    assert [str(Dense((1, 2), *way)) for way in LAYOUTS] == [
        "nchw fp16",
        "nhwc fp16",
        "nhwc bf16",
        "nhwc",
    ]
    assert (one.nbytes, Dense((2, 3), "float32", "nhwc").nbytes) == (240, 24)


@pytest.mark.parametrize("way", [("float32", "nchw"), ("int8", "nhwc"), ("float16", "chwn")])
def test_plain_memory_and_unknown_arrangements_are_no_dense_layout(way):
    with pytest.raises(AssertionError):
        Dense((2, 3), *way)
