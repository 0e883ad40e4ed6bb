"""Pooling on a GPU against a definition in loops, and against the float64 layer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request
from tests.engines.harness import run_plan

WINDOWS = [((3, 3), (2, 2)), ((2, 3), (1, 3)), ((3, 2), (3, 1)), ((1, 1), (1, 1)), ((5, 4), (2, 2))]


@st.composite
def cases(draw):
    """An op and the size of a bottom on which its windows all see something."""
    kernel, stride = draw(st.sampled_from(WINDOWS))
    pad = tuple(draw(st.integers(0, k - 1)) for k in kernel)
    size = tuple(draw(st.integers(1, 9)) for _ in range(2))
    op = ops.Pool(draw(st.sampled_from(["MAX", "AVE"])), kernel, stride, pad, draw(st.booleans()))
    out = op.out(size)
    assume(min(out) >= 1)
    geometry = zip(size, out, stride, pad, strict=True)
    assume(not any(ops.empty_window(*axis) for axis in geometry))
    return op, size


def layer_of(op, tops=1):
    p = dict(zip(("kernel_h", "kernel_w"), op.kernel, strict=True))
    p |= dict(zip(("stride_h", "stride_w"), op.stride, strict=True))
    p |= dict(zip(("pad_h", "pad_w"), op.pad, strict=True))
    mode = "CEIL" if op.ceil else "FLOOR"
    return build("Pooling", pool=op.kind, round_mode=mode, tops=tops, **p)


def by_definition(op, x):
    """y, and the places of maxima in each plane, of bottom (planes, H, W); plain loops."""
    (h, w), out = x.shape[1:], op.out(x.shape[1:])
    y, index = np.zeros((len(x), *out)), np.zeros((len(x), *out))
    for plane, oh, ow in itertools.product(range(len(x)), *map(range, out)):
        top, left = oh * op.stride[0] - op.pad[0], ow * op.stride[1] - op.pad[1]
        inside, area = {}, 0
        for i in range(top, top + op.kernel[0]):
            for j in range(left, left + op.kernel[1]):
                area += i < h + op.pad[0] and j < w + op.pad[1]
                if 0 <= i < h and 0 <= j < w:
                    inside[i * w + j] = x[plane, i, j]
        if op.kind == "MAX":
            first = max(inside, key=inside.get)  # of equal ones, max gives the first
            y[plane, oh, ow], index[plane, oh, ow] = inside[first], first
        else:
            y[plane, oh, ow] = sum(inside.values()) / area
    return y, index


def window(op):
    kh, kw = op.kernel
    return dict(KH=kh, KW=kw, SH=op.stride[0], SW=op.stride[1], PLACE="unsigned char")


@given(case=cases(), each=st.integers(1, 4))
def test_the_kernels_compute_the_definition(case, each):
    op, size = case
    rng, planes = np.random.default_rng(0), 5
    x = rng.integers(-3, 3, (planes, *size)).astype(np.float32)  # many equal maxima
    expected, places = by_definition(op, x.astype(np.float64))
    y, index = (np.full(expected.shape, np.nan, np.float32) for _ in range(2))
    winner = np.zeros(expected.shape, np.uint8)
    dy, dx = rng.standard_normal(y.shape).astype(np.float32), np.full_like(x, np.nan)
    shape = planes, each, *size, *y.shape[1:], *op.pad
    tops, bottoms = (-(-planes // each) * a[0].size for a in (y, x))
    if op.kind == "AVE":
        host.run("pooling", "mean_forward", tops, x, y, *shape, **window(op))
        host.run("pooling", "mean_backward", bottoms, dy, dx, *shape, **window(op))
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        np.testing.assert_allclose((dx * x).sum(), (dy * expected).sum(), rtol=1e-3, atol=1e-5)
        return
    host.run("pooling", "max_forward", tops, x, y, winner, index, *shape, **window(op))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(index, places)
    host.run("pooling", "max_backward", bottoms, dy, winner, dx, *shape, **window(op))
    gradient = np.zeros((planes, size[0] * size[1]))
    for plane in range(planes):
        np.add.at(gradient[plane], places[plane].astype(int), dy[plane].astype(np.float64))
    np.testing.assert_allclose(dx.reshape(planes, -1), gradient, atol=1e-6)


@given(case=cases(), seed=st.integers(0, 99))
def test_the_plan_is_the_layer_in_every_geometry(engine, case, seed):
    op, size = case
    x = np.random.default_rng(seed).standard_normal((2, 3, *size))
    layer = layer_of(op, tops=2 if op.kind == "MAX" and seed % 2 else 1)
    assert layer.op == op
    dy = [
        np.random.default_rng(i).standard_normal(s) for i, s in enumerate(layer.top_shapes(x.shape))
    ]
    dy[1:] = [np.zeros_like(a) for a in dy[1:]]  # nothing comes down to places
    check(engine, op, layer, [x], dy=dy)


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
@pytest.mark.parametrize("size", [(6, 6), (20, 30)], ids=["small", "more places than a byte"])
def test_the_window_can_be_the_whole_bottom(engine, kind, size):
    layer = build("Pooling", pool=kind, global_pooling=True)
    plan = check(engine, layer.op, layer, [np.random.default_rng(0).standard_normal((2, 3, *size))])
    if kind == "MAX":
        assert plan.saved == 6 * (1 if size == (6, 6) else 4)


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
def test_a_thread_looks_at_several_planes_where_there_are_enough_threads(engine, kind, monkeypatch):
    from minidl.engines.cupy_kernels import pooling

    monkeypatch.setattr(pooling, "THREADS", 100)  # so the 11 planes of 64 fall into groups of 7
    layer = build("Pooling", pool=kind, kernel_size=3, stride=2)
    check(engine, layer.op, layer, [np.random.default_rng(0).standard_normal((1, 11, 8, 8))])


def test_a_nan_makes_its_windows_nan_and_keeps_their_gradient_inside(engine):
    layer = build("Pooling", kernel_size=2, stride=2)
    x = np.full((1, 1, 2, 6), -np.inf, np.float32)
    x[..., 2:] = np.nan
    x[..., 0, 2] = 5
    asked = request([x], [(1, 1, 1, 3)])
    (y,), (dx,), _ = run_plan(
        only(engine.plans(layer.op, asked)), [x], [(1, 1, 1, 3)], dy=[np.ones((1, 1, 1, 3))]
    )
    np.testing.assert_array_equal(y[0, 0, 0], [-np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(dx[0, 0], [[1, 0, 1, 0, 1, 0], [0] * 6])


def test_where_all_is_minus_infinity_the_first_place_on_the_bottom_wins(engine):
    x, shape = np.full((1, 1, 3, 3), -np.inf, np.float32), (1, 1, 2, 2)
    op = ops.Pool("MAX", (3, 3), (2, 2), (1, 1))
    plan = only(engine.plans(op, request([x], [shape] * 2)))
    (y, index), (dx,), _ = run_plan(plan, [x], [shape] * 2, dy=[np.ones(shape)] * 2)
    np.testing.assert_array_equal(y, np.full(shape, -np.inf))
    np.testing.assert_array_equal(index[0, 0], [[0, 1], [3, 4]])
    np.testing.assert_array_equal(dx[0, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_without_a_backward_no_places_are_kept(engine):
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8))
    op, top = ops.Pool("MAX", (3, 3), (2, 2)), (2, 3, 4, 4)
    plan = only(engine.plans(op, request([x], [top], backward=False)))
    assert plan.saved == plan.workspace == 0
    (y,), dx, _ = run_plan(plan, [x], [top])
    assert np.isfinite(y).all() and not dx


def test_it_declines_stochastic_pooling(engine):
    answer = engine.plans(
        ops.Pool("STOCHASTIC", (2, 2), (2, 2)), request([np.zeros((1, 1, 4, 4))], [(1, 1, 2, 2)])
    )
    assert isinstance(answer, Declined) and "STOCHASTIC" in answer.reason
