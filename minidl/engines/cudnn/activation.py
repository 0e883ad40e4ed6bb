"""Plans for `ops.Activation`: ReLU, sigmoid and tanh of every element."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Activation, Tensor
from minidl.engines.cudnn.follow import Passes, follow
from minidl.engines.cudnn.operators import OPERATORS
from minidl.engines.cudnn.plan import Call, dtype_of
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request


@OPERATORS.serves(ops.Activation)
def plans(engine: Any, op: ops.Activation, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan in any order of memory, in place or not; for a ReLU without a slope.

    The derivative of each follows from y. Backward is handed y in the place of x, too, which is
    what the library sees when it works in place, so the bottom may be overwritten.
    """
    if op.slope:
        return Declined(f"its ReLU has no slope; this one's is {op.slope:g}")

    def make(bottom: Shape, top: Shape, layout: Dense | None) -> Passes:
        activation = Activation(api.ACTIVATIONS[op.kind])
        count = math.prod(bottom[1:])
        data = Tensor((bottom[0] if bottom else 1, count, 1, 1), dtype_of(layout))

        def forward(x: int, y: int) -> list[Call]:
            pair = data, x, api.ZERO, data, y
            return [("cudnnActivationForward", activation, api.ONE, *pair)]

        def backward(x: int, y: int, dx: int, dy: int) -> list[Call]:
            read = data, y, data, dy, data, y
            return [("cudnnActivationBackward", activation, api.ONE, *read, api.ZERO, data, dx)]

        return Passes(forward, backward)

    keeps = "top sign" if op.kind == "relu" else "top"
    return follow(engine, op, request, op.kind, make, (keeps,))
