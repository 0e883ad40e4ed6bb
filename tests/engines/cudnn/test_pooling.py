"""cuDNN's pooling against the float64 layer; what it cannot say is declined."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.cudnn.as_layer import ARRANGEMENTS, check, only, reason
from tests.engines.cupy_kernels.as_layer import request


def distinct(shape):
    """Signed numbers no two of which are equal, so that every window has one maximum. Exact in
    bfloat16, as long as there are no more than 256."""
    rng = np.random.default_rng(0)
    return rng.permutation(np.prod(shape)).reshape(shape) - float(np.prod(shape) // 2)


@st.composite
def cases(draw):
    """(op, shape): odd sizes, padding, strides beyond the kernel."""
    axes = []
    for _ in range(2):
        kernel = draw(st.integers(1, 4))
        pad = draw(st.integers(0, kernel - 1))
        axes.append((draw(st.integers(1, 9)), kernel, draw(st.integers(1, 4)), pad))
    size, kernel, stride, pad = zip(*axes, strict=True)
    op = ops.Pool(draw(st.sampled_from(("MAX", "AVE"))), kernel, stride, pad, draw(st.booleans()))
    out = op.out(size)
    assume(min(out) >= 1)
    assume(not any(map(ops.empty_window, size, out, stride, pad)))
    return op, (draw(st.integers(1, 2)), 3, *size)


def layer_of(op):
    (kh, kw), (sh, sw), (ph, pw) = op.kernel, op.stride, op.pad
    sizes = dict(kernel_h=kh, kernel_w=kw, stride_h=sh, stride_w=sw, pad_h=ph, pad_w=pw)
    return build("Pooling", pool=op.kind, round_mode="CEIL" if op.ceil else "FLOOR", **sizes)


@given(case=cases())
def test_it_is_the_layer_in_every_geometry_of_whole_windows(engine, case):
    op, shape = case
    layer = layer_of(op)
    (top,) = layer.top_shapes(shape)
    answer = engine.plans(op, request([np.zeros(shape)], [top]))
    if isinstance(answer, Declined):
        floor = ops.Pool(op.kind, op.kernel, op.stride, op.pad, ceil=False)
        assert floor.out(shape[2:]) != top[2:]
        assert "whole windows only" in answer.reason
        return
    check(engine, op, layer, distinct(shape))


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("kind", ["MAX", "AVE"])
def test_it_stays_in_the_order_in_which_the_bottom_arrives(engine, kind, name):
    shape, arrange = (2, 3, 7, 5), ARRANGEMENTS[name]
    layer = build("Pooling", pool=kind, kernel_size=3, stride=2)
    plan = check(engine, layer.op, layer, distinct(shape), arrange(shape))
    assert plan.bottom_layouts == (arrange(shape),)
    assert plan.top_layouts == (arrange((2, 3, 3, 2)),)


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
def test_the_window_can_be_the_whole_bottom(engine, kind):
    layer = build("Pooling", pool=kind, global_pooling=True)
    check(engine, layer.op, layer, distinct((2, 3, 6, 5)))


def test_backward_of_a_maximum_reads_bottom_and_top_again(engine):
    """So the planner knows that nobody may overwrite them in between."""
    shapes = [np.zeros((1, 2, 4, 4))], [(1, 2, 2, 2)]
    plans = {
        (kind, backward): only(
            engine.plans(ops.Pool(kind, (2, 2), (2, 2)), request(*shapes, backward=backward))
        )
        for kind in ("MAX", "AVE")
        for backward in (False, True)
    }
    assert plans["MAX", True].keeps == ("bottom", "top")
    assert plans["AVE", True].keeps == plans["MAX", False].keeps == ()
    assert plans["MAX", True].algorithm == "max_deterministic"


def test_a_nan_is_the_maximum_of_its_window(engine):
    x = distinct((1, 2, 4, 4))
    x[0, 1, 2, 3] = np.nan
    layer = build("Pooling", kernel_size=2, stride=2)
    check(engine, layer.op, layer, x, backward=False, exact=True)


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (ops.Pool("STOCHASTIC", (2, 2), (2, 2)), "no STOCHASTIC pooling"),
        (ops.Pool("MAX", (3, 3), (2, 2)), "whole windows only: 2 x 2 of them, not 3 x 3"),
        (ops.Pool("AVE", (3, 3), (2, 2), (1, 1)), "whole windows only: 3 x 3 of them, not 4 x 4"),
    ],
)
def test_it_declines_what_the_library_does_otherwise(engine, op, said):
    size = (6, 6)
    assert said in reason(engine, op, (1, 4, *size), (1, 4, *op.out(size)))


def test_it_declines_to_say_where_a_maximum_was(engine):
    asked = request([np.zeros((1, 1, 4, 4))], [(1, 1, 2, 2)] * 2)
    assert "where a maximum was" in engine.plans(ops.Pool("MAX", (2, 2), (2, 2)), asked).reason
