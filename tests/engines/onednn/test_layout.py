"""Layouts against their definition in loops; conversions between any two of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.arrays.memory import CPU, Memory
from minidl.engines.onednn import api
from minidl.engines.onednn.layout import (
    DnnlLayout,
    anything,
    channels_last,
    converter,
    plain,
    plain_or,
    strided,
    wanted,
)
from minidl.engines.onednn.library import dnnl
from minidl.engines.onednn.primitive import favourite
from minidl.errors import RunError
from tests.engines.harness import memory
from tests.engines.onednn.parity import to_bf16

F32 = np.float32
SHAPE = (2, 20, 3, 5)


def random(shape):
    return np.random.default_rng(0).standard_normal(shape).astype(F32)


@pytest.fixture(scope="module")
def filters(engine) -> DnnlLayout:
    """Filters in groups, as the library wants them: (2, 16, 16, 3, 3) to it."""
    geometry = [api.dims((value,) * 2) for value in (1, 0, 0, 0)]
    blobs = channels_last((1, 32, 5, 5)), anything((2, 16, 16, 3, 3))
    args = api.FORWARD_INFERENCE, api.CONVOLUTION_DIRECT, *blobs, None, channels_last((1, 32, 3, 3))
    forward = favourite("convolution_forward", *args, *geometry)
    return wanted(forward, api.WEIGHTS, (32, 16, 3, 3), "goihw")


def sixteens(shape, dtype=api.F32) -> DnnlLayout:
    """nChw16c by its name in the library."""
    args = len(shape), api.dims(shape), dtype, api.BLOCKED[4][16]
    return DnnlLayout(dnnl().make("memory_desc", "memory_desc_create_with_tag", *args), shape)


# ------------------------------------------------------------------ definitions


def test_channels_last_is_a_transpose(engine):
    values = random(SHAPE)
    packed = memory(SHAPE, channels_last(SHAPE), values).array
    expected = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(packed.view(F32).reshape(expected.shape), expected)


def test_blocks_hold_sixteen_channels_and_zeros_behind_the_last(engine):
    layout, values = sixteens(SHAPE), random(SHAPE)
    packed = memory(SHAPE, layout, values).array.view(F32).reshape(2, 2, 3, 5, 16)
    expected = np.zeros_like(packed)
    for n, c, h, w in np.ndindex(SHAPE):
        expected[n, c // 16, h, w, c % 16] = values[n, c, h, w]
    np.testing.assert_array_equal(packed, expected)
    assert layout.nbytes == packed.nbytes > values.nbytes


def test_bf16_keeps_the_nearest_number_of_eight_bits(engine):
    values = random(SHAPE)
    values[0, 0, 0, :3] = [1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8)]  # ties, to even
    held = memory(SHAPE, plain(SHAPE, api.BF16), values)
    assert held.array.nbytes == values.nbytes // 2
    np.testing.assert_array_equal(held.plain(F32), to_bf16(values))


def test_filters_in_groups_have_an_axis_more_for_the_library(filters):
    assert filters.shape == (32, 16, 3, 3)
    assert filters.dims == (2, 16, 16, 3, 3)
    values = random(filters.shape)
    np.testing.assert_array_equal(memory(values.shape, filters, values).plain(F32), values)


# ------------------------------------------------------------------ names and equality


def test_layouts_have_readable_names(engine, filters):
    assert str(plain(SHAPE)) == "nchw"
    assert str(channels_last(SHAPE)) == "nhwc"
    assert str(channels_last(SHAPE, api.BF16)) == "nhwc bf16"
    assert str(channels_last((2, 3, 4))) == "nwc"
    assert str(sixteens(SHAPE)) == "nChw16c"
    assert str(plain((7,))) == "x"
    assert str(filters).startswith("g")
    assert repr(plain(SHAPE)) == "DnnlLayout(nchw, (2, 20, 3, 5))"


def test_layouts_are_equal_if_interchangeable(engine):
    assert channels_last(SHAPE) == channels_last(SHAPE)
    assert hash(channels_last(SHAPE)) == hash(channels_last(SHAPE))
    different = {
        plain(SHAPE),
        plain(SHAPE, api.BF16),
        channels_last(SHAPE),
        channels_last(SHAPE, api.BF16),
        sixteens(SHAPE),
        plain((2, 4, 5, 3, 5), shape=SHAPE),
        plain((2, 10, 3, 10)),
    }
    assert len(different) == 7
    assert channels_last(SHAPE) != "nhwc"
    one_channel = (2, 1, 3, 5)
    assert channels_last(one_channel) == plain(one_channel)
    assert channels_last(one_channel) != plain(one_channel, api.BF16)


def test_plain_float32_counts_as_no_layout(engine):
    assert plain_or(plain(SHAPE)) is None
    assert plain_or(plain((2, 10, 2, 3, 5), shape=SHAPE)) is None
    assert plain_or(channels_last((4, 9, 1, 1))) is None
    assert plain_or(strided((2, 3), (3, 1), (2, 3))) is None
    for layout in (plain(SHAPE, api.BF16), channels_last(SHAPE), strided((2, 3), (1, 2), (2, 3))):
        assert plain_or(layout) is layout


# ------------------------------------------------------------------ there and back

LAYOUTS = {
    "plain": lambda shape: None,
    "plain bf16": lambda shape: plain(shape, api.BF16),
    "nhwc": channels_last,
    "nhwc bf16": lambda shape: channels_last(shape, api.BF16),
    "nChw16c": sixteens,
    "nChw16c bf16": lambda shape: sixteens(shape, api.BF16),
}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(*[st.integers(1, 20)] * 2, *[st.integers(1, 5)] * 2),
    source=st.sampled_from(sorted(LAYOUTS)),
    target=st.sampled_from(sorted(LAYOUTS)),
)
def test_a_conversion_moves_every_element(engine, shape, source, target):
    values = random(shape)
    start = memory(shape, LAYOUTS[source](shape), values)
    end = memory(shape, LAYOUTS[target](shape))
    run = engine.converter(start, end)
    rounded = "bf16" in source or "bf16" in target
    for sign in (1, -1):  # a conversion is made once and run often
        start.assign(values * sign)
        run()
        expected = to_bf16(values) if rounded else values
        np.testing.assert_array_equal(end.plain(F32), expected * sign)


def test_other_number_types_and_orders_are_converted_on_the_way(engine):
    values, layout = random(SHAPE), channels_last(SHAPE)
    held = Memory(SHAPE, layout, CPU.bytes_(layout.nbytes))
    held.assign(values.astype(np.float64))
    assert held.plain(np.float64).dtype == np.float64
    np.testing.assert_array_equal(held.plain(np.float64), values)
    layout.pack(values[:, ::-1], held.array)
    np.testing.assert_array_equal(held.plain(F32), values[:, ::-1])
    out = np.empty(SHAPE[::-1], F32).transpose()
    layout.unpack(held.array, out)
    np.testing.assert_array_equal(out, values[:, ::-1])


def test_filters_with_and_without_groups_convert_into_one_another(filters):
    values = random(filters.shape)
    last = channels_last(filters.shape)
    there, back = memory(values.shape, last), memory(values.shape, filters)
    converter(memory(values.shape, filters, values), there)()
    converter(there, back)()
    np.testing.assert_array_equal(there.plain(F32), values)
    np.testing.assert_array_equal(back.plain(F32), values)


def test_different_shapes_are_refused(engine):
    with pytest.raises(RunError, match=r"from shape \(2, 3\) to \(3, 2\)"):
        converter(memory((2, 3), None, np.ones((2, 3))), memory((3, 2), None))
