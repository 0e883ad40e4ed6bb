"""A plan of our kernels, on the fake GPU, beside the float64 layer that it stands in for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays.memory import Shape
from minidl.engines.plan import Plan, Run
from minidl.engines.request import Declined, Request
from minidl.layers.base import Layer
from minidl.testing.harness import bind
from tests.engines.harness import Bound
from tests.fakegpu import machine

TOLERANCE = 1e-5  # of a number near 1: some roundings in float32


def request(
    x: Sequence[np.ndarray],
    tops: Sequence[Shape],
    wanted: Sequence[bool] | None = None,
    params: Sequence[tuple[str, Shape]] = (),
    **options: Any,
) -> Request:
    """For training, with all gradients, unless `backward` is False."""
    usual = dict(
        bottom_shapes=tuple(np.shape(a) for a in x),
        top_shapes=tuple(tops),
        params=tuple(params),
        homes=(None,) * len(params),
        bottom_layouts=(None,) * len(x),
        wanted=tuple(wanted if wanted is not None else [True] * len(x)),
        training=True,
        backward=True,
    )
    return Request(**{**usual, **options})


def only(plans: Any) -> Plan:
    """The plan, where there is one."""
    assert not isinstance(plans, Declined), plans.reason
    (plan,) = plans
    return plan


def check(
    engine: Any,
    op: Any,
    layer: Layer,
    x: Sequence[np.ndarray],
    *,
    params: Sequence[np.ndarray] = (),
    dy: Sequence[np.ndarray] = (),
    wanted: Sequence[bool] | None = None,
    in_place: bool = False,
    exact: bool = False,
    tolerance: float = TOLERANCE,
    **options: Any,
) -> Plan:
    """The engine's plan for `op` gives what `layer` does, both ways; returns the plan.

    Neither way allocates, waits, or copies between host and device.

    params   values of the parameters, which have to be the same after forward, too
    dy       the tops' gradients; random ones by default
    exact    to the last bit
    options  of the Request
    """
    x = [np.asarray(np.float32(a), np.float64) for a in x]
    bottom, top = bind(layer, *x, params=list(params) or None)
    shapes = [blob.shape for blob in top]
    named = [(param.name, param.shape) for param in layer.params]
    asked = request(x, shapes, wanted, named, in_place=in_place, **options)
    plan = only(engine.plans(op, asked))
    rng = np.random.default_rng(1)
    dy = [np.asarray(np.float32(a)) for a in dy or [rng.standard_normal(s) for s in shapes]]
    values = {param.name: param.data.copy() for param in layer.params}
    layer.forward(bottom, top)
    y = [blob.data.copy() for blob in top]  # in place, backward writes where it is
    bound = Bound(plan, x, shapes, values, asked.wanted, in_place=in_place)
    bound.forward, bound.backward = strictly(bound.forward), strictly(bound.backward)
    tops, gradients, _ = bound.run(dy)
    for blob, gradient in zip(top, dy, strict=True):
        blob.diff[...] = gradient
    layer.backward(top, asked.wanted, bottom)
    for got, expected in zip(tops, y, strict=True):
        close(got, expected, tolerance, exact)
    summed = max(np.abs(a).max() for a in dy)  # may all but cancel in dx; its rounding does not
    for got, blob, wants in zip(gradients, bottom, asked.wanted, strict=True):
        if wants:
            close(got, blob.diff, tolerance, exact, summed)
    for param in layer.params:
        memory = bound.params[param.name].values.memory
        close(memory.device.to_host(memory.array), param.data, tolerance)
    return plan


def strictly(run: Run | None) -> Run:
    """It may do nothing but launch."""

    def only_launches() -> None:
        assert run is not None
        with machine.current().strict():
            run()

    return only_launches


def close(
    got: np.ndarray, expected: np.ndarray, tolerance: float, exact: bool = False, terms: float = 0.0
) -> None:
    """Equal, up to the roundings of numbers as large as the largest result or the `terms`."""
    if exact:
        np.testing.assert_array_equal(got, expected)
        return
    largest = np.abs(expected).max(initial=terms)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * largest)
