"""Dropout's masks on a GPU are NumPy's, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.arrays.rng import DevicePasses, Streams
from minidl.engines.cupy_kernels.dropout import _signed
from minidl.engines.request import Declined
from minidl.schema import TRAIN
from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request
from tests.engines.harness import Bound

WORDS = st.integers(0, 2**64 - 1)


def drawn(count, key, passes, ratio):
    """Which of so many elements stay, by the kernel."""
    bits = np.zeros(-(-count // 8), np.uint8)
    number = np.array([passes], np.uint64)
    host.run("dropout", "draw", bits.size, bits, number, *map(_signed, key), ratio)
    return np.unpackbits(bits, bitorder="little")[:count].astype(bool)


def by_numpy(count, key, passes, ratio):
    key, counter = np.array(key, np.uint64), np.array([0, 0, 0, passes], np.uint64)
    bits = np.random.Philox(key=key, counter=counter)
    return np.random.Generator(bits).random(count, np.float32) >= np.float32(ratio)


@given(low=WORDS, high=WORDS, passes=WORDS, ratio=st.floats(0.01, 0.99), count=st.integers(1, 300))
def test_the_mask_is_what_numpy_draws_for_any_key_pass_and_ratio(low, high, passes, ratio, count):
    expected = by_numpy(count, (low, high), passes, ratio)
    np.testing.assert_array_equal(drawn(count, (low, high), passes, ratio), expected)


def test_every_number_of_the_stream_is_the_same_not_only_on_which_side_of_one_ratio_it_is():
    """The number stays at a ratio of itself, and goes at the next one above."""
    key, count = (1 << 63, 12345), 64
    bits = np.random.Philox(key=np.array(key, np.uint64), counter=[0, 0, 0, 7])
    numbers = np.random.Generator(bits).random(count, np.float32)
    for at, number in enumerate(numbers):
        assert drawn(count, key, 7, float(number))[at]
        above = float(np.nextafter(number, np.float32(1)))
        assert not drawn(count, key, 7, above)[at]


def test_the_mask_goes_on_over_the_border_of_what_array_code_draws_at_a_time():
    """100,000 elements: the layer draws them in pieces of 65,536 from one stream."""
    key = Streams(1701).key("drop6")
    layers = Streams(1701)
    layers.passes = 3
    expected = layers.generator("drop6").random(100_000, np.float32) >= np.float32(0.5)
    np.testing.assert_array_equal(drawn(100_000, key, 3, 0.5), expected)


@pytest.mark.parametrize("in_place", [False, True])
def test_what_stays_is_scaled_and_the_rest_times_zero(in_place):
    x = np.array([1, -2, np.nan, 4, np.nan, -6, 7, 8, 9, -10], np.float32)
    stays = np.array([1, 0, 1, 1, 0, 0, 0, 1, 0, 1], bool)
    y = x.copy() if in_place else np.full_like(x, 99)
    bits = np.packbits(stays, bitorder="little")
    expected = x * (stays * np.float32(1 / 0.7))
    host.run("dropout", "apply", x.size, y if in_place else x, bits, y, 1 / 0.7)
    np.testing.assert_array_equal(y, expected)
    assert math.isnan(y[2]) and math.isnan(y[4])


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    ratio=st.sampled_from([0.1, 0.5, 0.75]),
    in_place=st.booleans(),
)
def test_the_plan_is_the_layer_in_the_same_pass(engine, shape, ratio, in_place):
    layer = build("Dropout", phase=TRAIN, dropout_ratio=ratio, in_place=in_place)
    streams = layer.ctx.streams
    streams.passes = 41
    passes = DevicePasses(engine.device, streams)
    passes.begin()
    passes.count()
    x = np.random.default_rng(0).standard_normal(shape)
    known = dict(key=streams.key(layer.name), counter=passes.address)
    check(engine, layer.op, layer, [x], in_place=in_place, **known, tolerance=1e-6)


def test_each_pass_draws_anew_and_backward_uses_what_its_forward_drew(engine):
    """The pass is counted up on the device between two calls of one bound plan."""
    streams = Streams(5)
    streams.passes = 1
    passes = DevicePasses(engine.device, streams)
    passes.begin()
    x = np.ones((64,), np.float32)
    known = dict(key=streams.key("drop"), counter=passes.address)
    plan = only(engine.plans(ops.Dropout(0.5), request([x], [x.shape], **known)))
    assert plan.saved == 8 and plan.keeps == ()
    bound, seen = Bound(plan, [x], [x.shape], wanted=[True]), []
    for _ in range(2):
        passes.count()
        (y,), _, _ = bound.run()
        passes.count()  # by then another pass may have begun
        bound.top_diff[0].assign(x)
        bound.backward()
        np.testing.assert_array_equal(y, engine.device.to_host(bound.bottom_diff[0].array))
        seen.append(y)
    assert (seen[0] != seen[1]).any()


def test_without_the_number_of_the_pass_it_declines(engine):
    x = np.ones((4,), np.float32)
    answer = engine.plans(ops.Dropout(0.5), request([x], [x.shape]))
    assert isinstance(answer, Declined) and "number of the pass" in answer.reason
