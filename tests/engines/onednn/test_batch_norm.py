"""Batch normalisation plans against the float64 layer, statistics included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.harness import Bound
from tests.engines.onednn.as_layer import (
    ARRANGEMENTS,
    arrange,
    check,
    first,
    needs_avx512,
    request,
)


def op_of(layer):
    return ops.BatchNorm(layer.eps, layer.fraction, layer.use_global_stats)


def values(shape, mean=0.0):
    """Channels of different spreads."""
    spread = np.linspace(0.5, 3, shape[1]).reshape(-1, *[1] * (len(shape) - 2))
    return np.random.default_rng(0).standard_normal(shape) * spread + mean


def statistics(channels, factor=2.5):
    rng = np.random.default_rng(1)
    mean, variance = rng.standard_normal(channels), rng.uniform(0.5, 2, channels)
    return [mean, variance, np.array([factor])]


@given(
    shape=st.tuples(
        st.integers(2, 4), st.sampled_from((1, 3, 16, 20)), st.integers(1, 5), st.integers(1, 5)
    ),
    name=st.sampled_from(sorted(ARRANGEMENTS)),
    in_place=st.booleans(),
    use_global_stats=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_layer_and_updates_the_statistics(
    engine, shape, name, in_place, use_global_stats
):
    layer = build(
        "BatchNorm",
        in_place=in_place,
        use_global_stats=use_global_stats,
        eps=0.1,  # so that it matters, and two equal numbers are not torn apart
        moving_average_fraction=0.75,
    )
    check(
        engine,
        op_of(layer),
        layer,
        [values(shape)],
        [arrange(engine, name, shape)],
        params=statistics(shape[1]),
        in_place=in_place,
    )


@pytest.mark.parametrize("shape", [(8, 20), (8, 32), (3, 20, 5), (2, 20, 3, 4, 5)])
@pytest.mark.parametrize("use_global_stats", [False, True], ids=["batch", "global"])
def test_it_takes_rows_sequences_and_volumes(engine, shape, use_global_stats):
    layer = build("BatchNorm", use_global_stats=use_global_stats, eps=0.1)
    check(engine, op_of(layer), layer, [values(shape)], [None], params=statistics(shape[1]))


def test_the_variance_is_that_around_the_mean(engine):
    """mean(x**2) - mean(x)**2 would lose all its digits here."""
    layer = build("BatchNorm", eps=0.0, moving_average_fraction=0.0)
    shape = (4, 32, 6, 6)
    x = values(shape, mean=1000.0).astype(np.float32)
    plan = first(engine.plans(op_of(layer), asked_of(layer, x)))
    bound = Bound(plan, [x], [shape], dict(zip(layer.statistics, statistics(32), strict=True)))
    bound.run()
    unbiased = x.astype(np.float64).var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(bound.params["variance"].values.memory.array, unbiased, rtol=1e-4)


def asked_of(layer, x, **options):
    params = [(name, (1,) if name == "scale_factor" else x.shape[1:2]) for name in layer.statistics]
    options = {"backward": False, "layouts": [None], **options}
    return request([x], [x.shape], params=params, **options)


def test_before_anything_was_seen_mean_and_variance_are_zero(engine):
    layer = build("BatchNorm", use_global_stats=True, eps=0.25)
    x = values((2, 16, 3, 3))
    nothing = [np.ones(16), np.ones(16), np.zeros(1)]
    check(engine, op_of(layer), layer, [x], [None], params=nothing)


def test_the_statistics_have_a_new_version_after_each_pass_that_changes_them(engine):
    for use_global_stats, changes in ((False, 1), (True, 0)):
        layer = build("BatchNorm", use_global_stats=use_global_stats)
        x = values((2, 16, 3, 3))
        plan = first(engine.plans(op_of(layer), asked_of(layer, x)))
        named = dict(zip(layer.statistics, statistics(16), strict=True))
        bound = Bound(plan, [x], [x.shape], named)
        before = bound.params["mean"].values.version
        bound.run()
        assert bound.params["mean"].values.version - before == changes


@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in place"])
def test_x_is_read_again_or_copied_for_the_batchs_own_statistics_only(engine, in_place):
    x = values((2, 32, 6, 6))
    options = {"backward": True, "in_place": in_place}
    batch, seen = (
        first(engine.plans(op_of(layer), asked_of(layer, x, **options)))
        for layer in (build("BatchNorm"), build("BatchNorm", use_global_stats=True))
    )
    statistics = 2 * 32 * 4
    copied = x.size * 4 if in_place else 0
    assert (batch.keeps, batch.saved) == (() if in_place else ("bottom",), copied + statistics)
    assert (seen.keeps, seen.saved) == ((), 0)


def test_plain_images_are_asked_for_in_blocks(engine):
    needs_avx512(engine, "blocks of 16")
    plan = first(
        engine.plans(op_of(build("BatchNorm")), asked_of(build("BatchNorm"), values((2, 32, 6, 6))))
    )
    assert str(plan.bottom_layouts[0]) == str(plan.top_layouts[0]) == "nChw16c"


def test_it_declines_statistics_that_do_not_live_in_plain_arrays(engine):
    layer, x = build("BatchNorm"), values((2, 32, 6, 6))
    asked = asked_of(layer, x)
    asked = type(asked)(**{**vars(asked), "homes": (arrange(engine, "nhwc", x.shape), None, None)})
    answer = engine.plans(op_of(layer), asked)
    assert isinstance(answer, Declined) and "plain arrays" in answer.reason
