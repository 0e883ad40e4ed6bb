"""Pooling plans against the float64 layer, exactly where only numbers are chosen."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.harness import run_plan
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange, check, first, needs_avx512, request

LOWEST = np.finfo(np.float32).min


def integers(shape, seed=0):
    """Few different numbers, so that windows have several maxima; all sums are exact."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float64)


@st.composite
def cases(draw):
    """(kind, layer's keywords, shape): windows that overhang, padding that is clipped, gaps."""
    axes = []
    for _ in range(2):
        kernel = draw(st.integers(1, 4))
        axes.append((draw(st.integers(1, 9)), kernel, draw(st.integers(1, 4)), kernel))
    (h, kh, sh, _), (w, kw, sw, _) = axes
    ph, pw = draw(st.integers(0, kh - 1)), draw(st.integers(0, kw - 1))
    ceil = draw(st.booleans())
    op = ops.Pool(draw(st.sampled_from(("MAX", "AVE"))), (kh, kw), (sh, sw), (ph, pw), ceil)
    shape = (draw(st.integers(1, 3)), draw(st.sampled_from((1, 3, 16, 20))), h, w)
    out = op.out((h, w))
    assume(min(out) >= 1)
    gaps = zip((h, w), out, op.stride, op.pad, strict=True)
    assume(not any(ops.empty_window(*axis) for axis in gaps))
    return op, shape


def layer_of(op):
    (kh, kw), (sh, sw), (ph, pw) = op.kernel, op.stride, op.pad
    sizes = dict(kernel_h=kh, kernel_w=kw, stride_h=sh, stride_w=sw, pad_h=ph, pad_w=pw)
    return build("Pooling", pool=op.kind, round_mode="CEIL" if op.ceil else "FLOOR", **sizes)


@given(case=cases(), name=st.sampled_from(sorted(ARRANGEMENTS)))
@settings(max_examples=100, deadline=None)
def test_it_is_the_layer_in_every_geometry_and_arrangement(engine, case, name):
    op, shape = case
    layer = layer_of(op)
    top = layer.top_shapes(shape)[0]
    layout = arrange(engine, name, shape)
    answer = engine.plans(op, request([np.zeros(shape)], [top], [layout]))
    if isinstance(answer, Declined):
        beyond = op.kind == "AVE" and "beyond the padding" in answer.reason
        flat = 1 in shape[2:] and "reference code" in answer.reason
        assert beyond or flat
        return
    check(
        engine, op, layer, [integers(shape)], [layout], dy=[integers(top)], exact=op.kind == "MAX"
    )


@pytest.mark.parametrize(
    "keywords",
    [
        dict(kernel_size=3, stride=2),
        dict(kernel_size=3, stride=2, pad=1),
        dict(kernel_size=5, stride=3, pad=2, round_mode="FLOOR"),
    ],
    ids=["overhanging (cifar10_quick)", "on the padding", "whole windows"],
)
def test_a_mean_is_divided_by_the_places_that_caffe_counts(engine, keywords):
    layer = build("Pooling", pool="AVE", **keywords)
    x = np.random.default_rng(0).standard_normal((2, 20, 7 if "pad" in keywords else 8, 9))
    check(engine, layer.op, layer, [x], [None])


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
@pytest.mark.parametrize("size", [(6, 6), (40, 30)], ids=["small", "more places than a byte"])
def test_the_window_can_be_the_whole_bottom(engine, kind, size):
    layer = build("Pooling", pool=kind, global_pooling=True)
    x = np.random.default_rng(0).standard_normal((2, 20, *size))
    check(engine, layer.op, layer, [x], [arrange(engine, "nChw16c", x.shape)])


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_it_stays_in_the_arrangement_in_which_the_bottom_arrives(engine, name):
    shape, top = (2, 32, 8, 8), (2, 32, 4, 4)
    if "16c" in name:
        needs_avx512(engine, "blocks of 16")
    layout = arrange(engine, name, shape)
    asked = request([np.zeros(shape)], [top], [layout])
    plan = first(engine.plans(ops.Pool("MAX", (3, 3), (2, 2)), asked))
    assert plan.bottom_layouts == (layout,)
    assert plan.top_layouts == (arrange(engine, name, top),)


def test_only_a_forward_that_a_backward_follows_keeps_the_places(engine):
    op, x, top = ops.Pool("MAX", (3, 3), (2, 2)), [np.zeros((2, 32, 8, 8))], [(2, 32, 4, 4)]
    training = first(engine.plans(op, request(x, top, [None])))
    inference = first(engine.plans(op, request(x, top, [None], backward=False)))
    assert training.saved > 0 and inference.saved == 0
    y, dx, _ = run_plan(inference, x, top)
    assert y[0].shape == top[0] and not dx


@pytest.mark.parametrize("name", ["plain", "nhwc", "nChw16c"])
def test_a_maximum_passes_over_nan_and_is_never_below_the_lowest_number(engine, name):
    """As in Caffe; the layer gives NaN and -inf."""
    x = np.full((1, 16, 2, 6), -np.inf)
    x[..., 2:] = np.nan
    x[..., 0, 2] = 5
    op, shapes = ops.Pool("MAX", (2, 2), (2, 2)), [(1, 16, 1, 3)]
    plan = first(engine.plans(op, request([x], shapes, [arrange(engine, name, x.shape)])))
    (y,), _, _ = run_plan(plan, [x], shapes, dy=[np.ones(shapes[0])])
    np.testing.assert_array_equal(y[0, 7, 0], np.float32([LOWEST, 5, LOWEST]))


@pytest.mark.parametrize(
    ("op", "tops", "reason"),
    [
        (ops.Pool("STOCHASTIC", (2, 2), (2, 2)), 1, "no STOCHASTIC pooling"),
        (ops.Pool("MAX", (2, 2), (2, 2)), 2, "where a maximum was"),
        (ops.Pool("AVE", (3, 3), (2, 2), (1, 1)), 1, "beyond the padding"),
    ],
)
def test_it_declines_what_the_library_does_otherwise(engine, op, tops, reason):
    shape = (1, 16, 6, 6)
    top = (1, 16, *op.out((6, 6)))
    answer = engine.plans(op, request([np.zeros(shape)], [top] * tops, [None]))
    assert isinstance(answer, Declined) and reason in answer.reason
