"""Plans for `ops.LRN`: local response normalisation across channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import LRN
from minidl.engines.cudnn.follow import Passes, follow
from minidl.engines.cudnn.operators import OPERATORS
from minidl.engines.cudnn.plan import Call, tensor
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request

MODE = api.LRN_CROSS_CHANNEL_DIM1


@OPERATORS.serves(ops.LRN)
def plans(engine: Any, op: ops.LRN, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan across channels, within the library's bounds.

    Within a channel it has something else: its divisive normalisation is documented as
    x / max(c, deviation of the neighbours), which no choice of k and beta makes Caffe's formula.
    """
    if op.within:
        return Declined("within channels it divides by the neighbours' deviation, not by a power")
    if not api.LRN_MIN_N <= op.size <= api.LRN_MAX_N:
        return Declined(f"its windows have at most {api.LRN_MAX_N} channels, not {op.size}")
    if op.k < api.LRN_MIN_K or op.beta < api.LRN_MIN_BETA:
        bounds = f"k from {api.LRN_MIN_K:g} on and beta from {api.LRN_MIN_BETA:g} on"
        return Declined(f"it takes {bounds}, not {op.k:g} and {op.beta:g}")

    def make(bottom: Shape, top: Shape, layout: Dense | None) -> Passes:
        # The library divides its alpha by the window's size, as Caffe does; ops.LRN has done so.
        norm, data = LRN(op.size, op.alpha * op.size, op.beta, op.k), tensor(bottom, layout)

        def forward(x: int, y: int) -> list[Call]:
            pair = data, x, api.ZERO, data, y
            return [("cudnnLRNCrossChannelForward", norm, MODE, api.ONE, *pair)]

        def backward(x: int, y: int, dx: int, dy: int) -> list[Call]:
            read = data, y, data, dy, data, x
            call = "cudnnLRNCrossChannelBackward", norm, MODE, api.ONE, *read, api.ZERO, data, dx
            return [call]

        return Passes(forward, backward)

    return follow(engine, op, request, "cross_channel", make, ("bottom", "top"))
