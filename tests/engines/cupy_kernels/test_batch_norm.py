"""Batch normalisation on a GPU against a definition, and against the float64 layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request

STATISTICS = [np.float64([0.5, -1, 2]), np.float64([0.3, 4, 1.5]), np.float64([1.75])]


def layer_of(global_stats=False, **fields):
    options = dict(moving_average_fraction=0.75, eps=1e-3)
    return build("BatchNorm", use_global_stats=global_stats, **{**options, **fields})


@pytest.mark.parametrize("global_stats", [False, True])
@given(
    images=st.integers(1, 5),
    size=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    in_place=st.booleans(),
)
def test_it_is_the_layer_and_its_statistics(engine, global_stats, images, size, in_place):
    layer = layer_of(global_stats, in_place=in_place)
    x = np.random.default_rng(0).standard_normal((images, 3, *size)) * 2 + 1
    named = dict(in_place=in_place, params=STATISTICS)
    # With one number in a channel, y is 0, and so is dx: what is left are roundings, times 1 / eps.
    few = images * np.prod(size) < 3
    check(engine, layer.op, layer, [x], **named, tolerance=1e-3 if few else 2e-5)


@given(size=st.integers(2, 60), length=st.integers(1, 64), places=st.sampled_from([1, 2, 5]))
def test_parts_of_any_length_make_the_moments_of_the_whole(size, length, places):
    """Where the mean is 1,000 times the deviation, as well."""
    images, channels = -(-size // places), 2
    size, parts = images * places, -(-images * places // length)
    x = np.random.default_rng(size).standard_normal((images, channels, places)) + 1000
    x = x.astype(np.float32)
    means, squares = np.full((2, parts, channels), np.nan, np.float32)
    mean, inv_std, all_means, all_variances = np.ones((4, channels), np.float32)
    factor = np.float32([3])
    given_ = channels, places, size, length
    host.run("batch_norm", "part_moments", parts * channels, x, means, squares, *given_)
    results = mean, inv_std, all_means, all_variances, factor
    shape = channels, size, length, 0.5, 0.0
    host.run("batch_norm", "moments", channels, means, squares, *results, *shape)
    x = x.astype(np.float64)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(inv_std, 1 / x.std(axis=(0, 2)), rtol=2e-4)
    np.testing.assert_allclose(all_means, 0.5 + x.mean(axis=(0, 2)), rtol=1e-6)
    unbiased = x.var(axis=(0, 2), ddof=1)
    np.testing.assert_allclose(all_variances, 0.5 + unbiased, rtol=4e-4)
    np.testing.assert_array_equal(factor, 2.5)


def test_before_anything_was_seen_global_statistics_are_zero(engine):
    layer = layer_of(True, eps=0.25)
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    params = [*STATISTICS[:2], np.zeros(1)]
    check(engine, layer.op, layer, [x], params=params)


def test_more_numbers_in_a_channel_than_one_warp_adds_up(engine):
    layer = layer_of()
    x = np.random.default_rng(0).standard_normal((5, 2, 23, 27))  # 3105 in parts of 1024
    params = [np.ones(2), np.ones(2), np.ones(1)]
    check(engine, layer.op, layer, [x], params=params)


def test_in_place_a_copy_of_the_bottom_is_kept_for_backward(engine):
    x, op = np.zeros((4, 3, 5)), layer_of().op
    named = [(name, (n,)) for name, n in (("mean", 3), ("variance", 3), ("scale_factor", 1))]
    apart, inside, forward_only = (
        only(engine.plans(op, request([x], [x.shape], params=named, **options)))
        for options in (dict(), dict(in_place=True), dict(in_place=True, backward=False))
    )
    assert inside.saved - apart.saved >= x.size * 4 and forward_only.saved == apart.saved
    assert (apart.keeps, inside.keeps) == (("bottom",), ())


def test_it_declines_statistics_in_a_layout(engine):
    x = np.zeros((4, 3, 5))
    asked = request([x], [x.shape], params=[("mean", (3,))], homes=("somewhere",))
    answer = engine.plans(layer_of().op, asked)
    assert isinstance(answer, Declined) and "plain" in answer.reason
