"""Joining and cutting against NumPy's concatenate, and the layer."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request
from tests.engines.harness import Bound


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    outer=st.integers(1, 3),
    inner=st.integers(1, 5),
)
def test_parts_are_joined_and_cut_where_they_belong(sizes, outer, inner):
    total = sum(sizes)
    whole = np.arange(outer * total * inner, dtype=np.float32).reshape(outer, total, inner)
    edges = np.cumsum(sizes)[:-1]
    joined = np.full_like(whole, np.nan)
    start = 0
    for part in np.split(whole, edges, axis=1):
        part = np.ascontiguousarray(part)
        place = part.shape[1] * inner, total * inner, start * inner
        host.run("concat", "join", part.size, part, joined, *place)
        back = np.full_like(part, np.nan)
        host.run("concat", "cut", part.size, whole, back, *place)
        np.testing.assert_array_equal(back, part)
        start += part.shape[1]
    np.testing.assert_array_equal(joined, whole)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    axis=st.integers(-3, 2),
    wanted=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_it_is_the_layer_along_any_axis(engine, sizes, axis, wanted):
    shapes = [np.array([2, 3, 2]) for _ in sizes]
    for shape, size in zip(shapes, sizes, strict=True):
        shape[axis] = size
    x = [np.random.default_rng(i).standard_normal(tuple(s)) for i, s in enumerate(shapes)]
    layer = build("Concat", bottoms=len(x), axis=axis)
    wanted = [*wanted[1 : len(x)], True]
    check(engine, layer.op, layer, x, wanted=wanted, exact=True)


def test_a_single_bottom_is_the_top_already(engine, gpu):
    x = np.ones((2, 3), np.float32)
    asked = request([x], [x.shape], in_place=True)  # a view: one memory, as in place
    bound = Bound(
        only(engine.plans(ops.Concat(1), asked)), [x], [x.shape], wanted=[True], in_place=True
    )
    gpu.reset()
    bound.forward()
    bound.backward()
    assert gpu.launches == 0
