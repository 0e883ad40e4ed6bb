"""Local response normalisation on a GPU against a definition, and against the float64 layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request


def layer_of(size, within=False, **fields):
    region = "WITHIN_CHANNEL" if within else "ACROSS_CHANNELS"
    return build("LRN", local_size=size, norm_region=region, **{"alpha": 2.0, **fields})


@given(
    channels=st.integers(1, 12),
    strip=st.integers(1, 13),
    size=st.sampled_from([1, 3, 5]),
    beta=st.sampled_from([0.75, 1.5]),
)
def test_any_length_of_a_strip_gives_the_definition(channels, strip, size, beta):
    """Every channel is at the start, in the middle and at the end of some strip; what lies behind
    the last image is NaN, and not looked at."""
    rng, places, alpha, k = np.random.default_rng(0), 2, 0.5, 1.25
    x, dy = np.full((2, 4, channels, places), np.nan, np.float32)[:, :3]
    x[...], dy[...] = rng.standard_normal((2, *x.shape))
    y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
    count = 3 * -(-channels // strip) * places
    given_ = channels, places, strip, alpha, beta, k
    host.run("lrn", "across_forward", count, x, y, *given_, SIZE=size)
    host.run("lrn", "across_backward", count, x, dy, dx, *given_, SIZE=size)

    near = np.abs(np.subtract.outer(range(channels), range(channels))) <= size // 2
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    s = k + alpha * np.einsum("cj,njp->ncp", near, x**2)
    r = dy * x * s ** (-beta - 1)
    np.testing.assert_allclose(y, x * s**-beta, rtol=1e-5)
    expected = dy * s**-beta - 2 * alpha * beta * x * np.einsum("cj,njp->ncp", near, r)
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("within", [False, True])
@given(shape=st.tuples(*[st.integers(1, 7)] * 4), beta=st.sampled_from([0.75, 1.5]))
def test_the_plan_is_the_layer_where_windows_are_cut_off(engine, within, shape, beta):
    layer = layer_of(5, within, beta=beta)
    check(engine, layer.op, layer, [np.random.default_rng(0).standard_normal(shape)])


@pytest.mark.parametrize("channels", [32, 33, 70])
def test_more_channels_than_a_strip_has(engine, channels):
    layer = layer_of(5, k=2.0)
    x = np.random.default_rng(0).standard_normal((2, channels, 3, 2))
    plan = check(engine, layer.op, layer, [x])
    assert plan.saved == plan.workspace == 0 and plan.keeps == ("bottom",)


def test_a_quiet_channel_beside_a_loud_one_keeps_its_digits(engine):
    """A running sum that adds one square and drops another would not: see docs of the layer."""
    x = np.ones((1, 12, 1, 1)) * 1e-2
    x[:, 2] = 1e3
    layer = layer_of(3, alpha=3.0, k=1e-6)
    check(engine, layer.op, layer, [x], tolerance=2e-6)


def test_within_channels_backward_has_room_for_the_ratios(engine):
    x = np.zeros((2, 3, 4, 5))
    op = layer_of(3, within=True).op
    plans = [only(engine.plans(op, request([x], [x.shape], backward=b))) for b in (True, False)]
    assert [(plan.saved, plan.workspace) for plan in plans] == [(480, 480), (480, 0)]


def test_it_declines_a_window_that_no_thread_can_hold(engine):
    op = ops.LRN(33, 0.1, 0.75, 1.0)
    answer = engine.plans(op, request([np.zeros((1, 40, 2, 2))], [(1, 40, 2, 2)]))
    assert isinstance(answer, Declined) and "33 channels" in answer.reason
