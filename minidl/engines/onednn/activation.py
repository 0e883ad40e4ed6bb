"""Plans for `ops.Activation`: ReLU, sigmoid and tanh of every element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl import ops
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.follow import follow
from minidl.engines.onednn.layout import DnnlLayout, arriving, channels_last
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request

# Those whose backward looks at the top, so that the bottom may be overwritten
ALGORITHMS = {
    "relu": api.ELTWISE_RELU_FROM_DST,
    "sigmoid": api.ELTWISE_LOGISTIC_FROM_DST,
    "tanh": api.ELTWISE_TANH_FROM_DST,
}


@OPERATORS.serves(ops.Activation)
def plans(engine: Engine, op: ops.Activation, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan in any arrangement, in place or not.

    A ReLU of slope 0 makes 0 of NaN, which the layer and Caffe hand on.
    """
    shape = request.bottom_shapes[0]
    if op.slope < 0:
        return Declined(f"with slope {op.slope:g} the top does not tell the bottom's sign")
    if not shape:
        return Declined("it takes arrays of at least 1 axis, not 0")
    algorithm, numbers = ALGORITHMS[op.kind], (op.slope, 0.0)

    def arguments(data: DnnlLayout) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (algorithm, data, data, *numbers), (algorithm, data, data, data, *numbers)

    arrived = arriving(request.bottom_layouts[0], shape)
    # sigmoid(0) is not 0, so a last block that zeros fill up is left to reference code.
    others = [channels_last(shape, arrived.dtype)] if len(shape) > 2 else []
    keeps = "top sign" if op.kind == "relu" else "top"
    return follow(request, "eltwise", arguments, (arrived, *others), (keeps,))
