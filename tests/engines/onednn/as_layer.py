"""A plan beside the float64 layer that it stands in for, whatever the bottoms' arrangement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from minidl.arrays.memory import Layout, Memory, Shape
from minidl.engines.math import BF16, MATHS
from minidl.engines.onednn import api
from minidl.engines.onednn.arrangement import blocked
from minidl.engines.onednn.layout import channels_last
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request
from minidl.layers.base import Layer
from minidl.testing.harness import bind
from tests.engines.harness import F32, Bound, memory

ARRANGEMENTS = {
    "plain": lambda shape: None,
    "nhwc": channels_last,
    "nChw16c": blocked,
    "nChw8c": lambda shape: blocked(shape, block=8),
    "nhwc bf16": lambda shape: channels_last(shape, api.BF16),
    "nChw16c bf16": lambda shape: blocked(shape, api.BF16),
}
# Of a number near 1: some roundings in float32; those of a result, and of a gradient, to bfloat16.
TOLERANCE = {"float32": 1e-5, "bf16": 2**-7}


def arrange(engine: Any, name: str, shape: Shape) -> Layout | None:
    """The layout of that name; in float32 where this machine has no bfloat16."""
    return ARRANGEMENTS[name if BF16 in engine.maths else name.replace(" bf16", "")](shape)


def needs_avx512(engine: Any, what: str) -> None:
    """Skip a test where the library has nothing but reference code for `what`."""
    if not engine.isa.startswith("avx512"):
        pytest.skip(f"on {engine.isa} the library has only reference code for {what}")


def request(
    x: Sequence[np.ndarray],
    tops: Sequence[Shape],
    layouts: Sequence[Layout | None],
    wanted: Sequence[bool] | None = None,
    params: Sequence[tuple[str, Shape]] = (),
    **options: Any,
) -> Request:
    """For training, with all gradients, unless `backward` is False; `math` by its name."""
    options["math"] = MATHS[options.get("math", "float32")]
    return Request(
        bottom_shapes=tuple(a.shape for a in x),
        top_shapes=tuple(tops),
        params=tuple(params),
        homes=(None,) * len(params),
        bottom_layouts=tuple(layouts),
        wanted=tuple(wanted if wanted is not None else [True] * len(x)),
        **{"training": True, "backward": True, "threads": 2, **options},
    )


def first(plans: Any) -> Plan:
    """The candidate to try first."""
    assert not isinstance(plans, Declined), plans.reason
    return next(iter(plans))


def as_arrives(array: np.ndarray, layout: Layout | None) -> np.ndarray:
    """With the precision that a layout leaves to it."""
    return memory(np.shape(array), layout, array).plain(F32)


def check(
    engine: Any,
    op: Any,
    layer: Layer,
    x: Sequence[np.ndarray],
    layouts: Sequence[Layout | None],
    *,
    params: Sequence[np.ndarray] = (),
    dy: Sequence[np.ndarray] = (),
    wanted: Sequence[bool] | None = None,
    in_place: bool = False,
    exact: bool = False,
) -> Plan:
    """All the engine's plans for `op` give what `layer` does, both ways; returns the first.

    layouts   in which the bottoms arrive: they say how precise the numbers are
    params    values of the parameters, which have to be the same after forward, too
    dy        the tops' gradients; random ones by default
    exact     to the last bit
    """
    x = [as_arrives(a, layout) for a, layout in zip(x, layouts, strict=True)]
    bottom, top = bind(layer, *x, params=list(params) or None)
    shapes = [blob.shape for blob in top]
    named = [(param.name, param.shape) for param in layer.params]
    asked = request(x, shapes, layouts, wanted, named, in_place=in_place)
    plans = engine.plans(op, asked)
    assert not isinstance(plans, Declined), plans.reason
    plans = list(plans)
    rng = np.random.default_rng(1)
    dy = dy or [rng.standard_normal(shape) for shape in shapes]
    dy = [as_arrives(a, layout) for a, layout in zip(dy, plans[0].top_layouts, strict=True)]
    values = {param.name: param.data.copy() for param in layer.params}
    layer.forward(bottom, top)
    y = [blob.data.copy() for blob in top]  # in place, backward writes where it is
    for blob, gradient in zip(top, dy, strict=True):
        blob.diff[...] = gradient
    layer.backward(top, asked.wanted, bottom)
    summed = max(np.abs(a).max() for a in dy)  # may all but cancel in dx; its rounding does not
    for plan in plans:
        bound = Bound(plan, x, shapes, values, asked.wanted, in_place=in_place)
        tops, gradients, _ = bound.run(dy)
        for got, expected in zip(tops, y, strict=True):
            close(got, expected, plan, exact)
        for got, blob, wants in zip(gradients, bottom, asked.wanted, strict=True):
            if wants:
                close(got, blob.diff, plan, exact, summed)
        for param in layer.params:
            close(bound.params[param.name].values.memory.array, param.data, plan)
        for written in (*bound.top, *filter(None, bound.bottom_diff)):
            assert_padded_with_zeros(written)
    return plans[0]


def assert_padded_with_zeros(written: Memory) -> None:
    """What fills up the last block of channels, as the library's operations rely on."""
    again = memory(written.shape, written.layout, written.plain(F32))
    np.testing.assert_array_equal(_numbers(again), _numbers(written))


def _numbers(memory: Memory) -> np.ndarray:
    """All that lies in a memory, padding included."""
    if memory.layout is None or memory.layout.dtype == api.F32:
        return memory.array.view(F32)
    return (memory.array.view(np.uint16).astype(np.uint32) << 16).view(F32)


def close(
    got: np.ndarray, expected: np.ndarray, plan: Plan, exact: bool = False, terms: float = 0.0
) -> None:
    """Equal, up to the roundings of numbers as large as the largest result or the `terms`."""
    if exact:
        np.testing.assert_array_equal(got, expected)
        return
    halved = any("bf16" in str(layout) for layout in (*plan.bottom_layouts, *plan.top_layouts))
    tolerance = TOLERANCE["bf16" if halved else "float32"]
    largest = np.abs(expected).max(initial=terms)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * largest)
