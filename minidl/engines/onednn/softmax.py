"""Plans for `ops.Softmax`."""

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


@OPERATORS.serves(ops.Softmax)
def plans(engine: Engine, op: ops.Softmax, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan where the scores that share a sum lie side by side, or in blocks.

    Images with the classes in their channels are asked for with the channels last.
    """
    shape = request.bottom_shapes[0]
    axis = op.axis % len(shape)
    kind = api.SOFTMAX_ACCURATE

    def arguments(data: DnnlLayout) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (kind, data, data, axis), (kind, data, data, data, axis)

    arrived = arriving(request.bottom_layouts[0], shape)
    others = [channels_last(shape, arrived.dtype)] if axis == 1 and len(shape) > 2 else []
    return follow(request, "softmax", arguments, (arrived, *others), ("top",))
