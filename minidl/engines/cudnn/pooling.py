"""Plans for `ops.Pool`: the maximum or the mean of each window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Pooling
from minidl.engines.cudnn.follow import Passes, follow
from minidl.engines.cudnn.operators import OPERATORS
from minidl.engines.cudnn.plan import Call, like, tensor
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request

NAMES = {
    "MAX": (api.POOLING_MAX_DETERMINISTIC, "max_deterministic"),
    "AVE": (api.POOLING_AVERAGE_COUNT_INCLUDE_PADDING, "average_include_padding"),
}


@OPERATORS.serves(ops.Pool)
def plans(engine: Any, op: ops.Pool, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan in the order in which the bottom arrives, if no window overhangs.

    A maximum's backward looks for it again in bottom and top. Which of equal ones gets the
    gradient the library leaves open: it promises the same one every time, no more. A NaN is the
    maximum of its window, as in the layer. A mean is over the places of a window on bottom and
    padding, which is Caffe's rule wherever a window lies on those.
    """
    if len(request.top_shapes) > 1:
        return Declined("it does not say where a maximum was, which the second top asks for")
    if op.kind not in NAMES:
        return Declined(f"it has no {op.kind} pooling")
    size, windows = request.bottom_shapes[0][2:], request.top_shapes[0][2:]
    op = op.over(size)
    whole = replace(op, ceil=False).out(size)
    if whole != windows:
        found, wanted = (" x ".join(map(str, counts)) for counts in (whole, windows))
        return Declined(f"it has whole windows only: {found} of them, not {wanted}")
    mode, name = NAMES[op.kind]

    def make(bottom: Shape, top: Shape, layout: Dense | None) -> Passes:
        pooling = Pooling(mode, op.kernel, op.pad, op.stride)
        outside, inside = tensor(bottom, layout), tensor(top, like(layout, top))

        def forward(x: int, y: int) -> list[Call]:
            pair = outside, x, api.ZERO, inside, y
            return [("cudnnPoolingForward", pooling, api.ONE, *pair)]

        def backward(x: int, y: int, dx: int, dy: int) -> list[Call]:
            read = inside, y, inside, dy, outside, x
            return [("cudnnPoolingBackward", pooling, api.ONE, *read, api.ZERO, outside, dx)]

        return Passes(forward, backward)

    # Backward of a mean is handed x and y, too, but needs nothing of them.
    keeps = ("bottom", "top") if op.kind == "MAX" else ()
    return follow(engine, op, request, name, make, keeps)
