"""A plan of cuDNN's, on the fake GPU, beside the float64 layer that it stands in for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays.memory import Layout, Shape
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import Plan
from minidl.engines.request import Declined
from minidl.layers.base import Layer
from minidl.testing.harness import bind
from tests.engines.cupy_kernels.as_layer import close, request, strictly
from tests.engines.harness import Bound

TOLERANCE = 1e-5  # of a number near 1: some roundings in float32
ROUNDED = {"float16": 2.0**-10, "bfloat16": 2.0**-7}  # of results that are stored so
ARRANGEMENTS = {
    "plain": lambda shape: None,
    "nhwc": lambda shape: Dense(shape, "float32", "nhwc"),
    "nhwc fp16": lambda shape: Dense(shape, "float16", "nhwc"),
    "nchw bf16": lambda shape: Dense(shape, "bfloat16", "nchw"),
}


def only(plans: Any) -> Plan:
    """The plan, where there is one."""
    assert not isinstance(plans, Declined), plans.reason
    (plan,) = plans
    return plan


def rounded(array: np.ndarray, layout: Layout | None) -> np.ndarray:
    """With the precision that a layout leaves to it."""
    dtype = "float32" if layout is None else layout.dtype
    return to_type(np.asarray(array, np.float64), dtype)


def to_type(values: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest numbers of a type, in float64."""
    if dtype != "bfloat16":
        return values.astype(dtype).astype(np.float64)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    kept = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return kept.astype(np.uint32).view(np.float32).astype(np.float64)


def check(
    engine: Any,
    op: Any,
    layer: Layer,
    x: np.ndarray,
    layout: Layout | None = None,
    *,
    params: Sequence[np.ndarray] = (),
    in_place: bool = False,
    exact: bool = False,
    backward: bool = True,
) -> Plan:
    """The engine's plan gives what `layer` does, both ways, in the layout in which x arrives.

    Neither way allocates, waits, or copies between host and device.
    """
    x = rounded(x, layout)
    (bottom,), (top,) = bind(layer, x, params=list(params) or None)
    named = [(param.name, param.shape) for param in layer.params]
    options: dict[str, Any] = dict(bottom_layouts=(layout,), in_place=in_place, backward=backward)
    asked = request([x], [top.shape], params=named, **options)
    plan = only(engine.plans(op, asked))
    dy = rounded(np.random.default_rng(1).standard_normal(top.shape), plan.top_layouts[0])
    values = {param.name: param.data.copy() for param in layer.params}
    wanted = asked.wanted if backward else ()
    bound = Bound(plan, [x], [top.shape], values, wanted, in_place=in_place)
    bound.forward = strictly(bound.forward)
    bound.backward = strictly(bound.backward)
    (y,), gradients, _ = bound.run([dy] if backward else [])
    layer.forward([bottom], [top])
    tolerance = ROUNDED.get(getattr(plan.top_layouts[0], "dtype", ""), TOLERANCE)
    close(y, top.data, tolerance, exact)
    if backward:
        top.diff[...] = dy
        layer.backward([top], [True], [bottom])
        # Gradients may all but cancel; the rounding of what is summed does not.
        close(gradients[0], bottom.diff, 2 * tolerance, exact, np.abs(dy).max())
    for param in layer.params:
        memory = bound.params[param.name].values.memory
        close(memory.device.to_host(memory.array), param.data, TOLERANCE)
    return plan


def reason(engine: Any, op: Any, shape: Shape, top: Shape | None = None, **options: Any) -> str:
    """Why the engine has no plan for an op on a bottom of this shape."""
    answer = engine.plans(op, request([np.zeros(shape)], [top or shape], **options))
    assert isinstance(answer, Declined), list(answer)
    return answer.reason


def replayed(bound: Bound) -> None:
    """Capture both ways of a bound plan in a graph, and launch that."""
    device = bound.device
    with device.current():
        device.stream.begin_capture()
        bound.forward()
        bound.backward()
        graph = device.stream.end_capture()
        graph.launch()
        device.synchronize()
