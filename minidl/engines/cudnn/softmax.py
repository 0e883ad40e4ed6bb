"""Plans for `ops.Softmax`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Tensor
from minidl.engines.cudnn.follow import Passes, follow
from minidl.engines.cudnn.operators import OPERATORS
from minidl.engines.cudnn.plan import Call, arriving, dtype_of, order_of
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request


@OPERATORS.serves(ops.Softmax)
def plans(engine: Any, op: ops.Softmax, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan along any axis: what precedes it counts as images, what follows as places.

    Channels last it takes the channels as they lie; along another axis the bottom has to be in
    C order, and is asked for so.
    """
    axes = len(request.bottom_shapes[0])
    axis = op.axis % axes
    layout = arriving(request)
    if order_of(layout) == "nhwc" and (axis != 1 or axes != 4):
        request = replace(request, bottom_layouts=(None,))

    def make(bottom: Shape, top: Shape, layout: Dense | None) -> Passes:
        # (before, classes, behind) as N, C, H with W = 1: softmax over C for each place.
        before, classes, behind = (
            math.prod(part) for part in (bottom[:axis], bottom[axis : axis + 1], bottom[axis + 1 :])
        )
        # Without places behind, an item's classes are all there is of it: an "instance".
        mode = api.SOFTMAX_MODE_INSTANCE if behind == 1 else api.SOFTMAX_MODE_CHANNEL
        data = Tensor((before, classes, behind, 1), dtype_of(layout), order_of(layout))
        how = api.SOFTMAX_ACCURATE, mode, api.ONE

        def forward(x: int, y: int) -> list[Call]:
            return [("cudnnSoftmaxForward", *how, data, x, api.ZERO, data, y)]

        def backward(x: int, y: int, dx: int, dy: int) -> list[Call]:
            return [("cudnnSoftmaxBackward", *how, data, y, data, dy, api.ZERO, data, dx)]

        return Passes(forward, backward)

    return follow(engine, op, request, "accurate", make, ("top",))
