"""Plans for `ops.LRN`: local response normalisation, across channels or within one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from minidl import ops
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.arrangement import BLOCKS, arrangement_of, blocked
from minidl.engines.onednn.follow import (
    Arguments,
    FollowerPlan,
    Passes,
    argument_bytes,
    describe,
    follow,
)
from minidl.engines.onednn.layout import DnnlLayout, arriving, channels_last
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.onednn.primitive import Description, sequence
from minidl.engines.plan import Bindings, Plan, Run, packed
from minidl.engines.request import Declined, Request

SIZES = (3, 5)  # that the library gets right
ROOM = 16 << 20  # bytes: more images at a time gain no speed


@OPERATORS.serves(ops.LRN)
def plans(engine: Engine, op: ops.LRN, request: Request) -> Iterator[Plan] | Declined:
    """Offer blocks of channels where the library has them, otherwise channels last.

    In C order it has backward as reference code only, which takes half a second where the others
    take 13 ms. What the first candidate keeps for backward is as large as two bottoms; the second
    works it out again, in which a training step of AlexNet takes about 2 % longer.

    Two faults of version 3.2, both with the channels last, are kept away from: a window of 1 ends
    the process, and from 7 on the sums are wrong unless whole registers of 16 channels are full;
    in bfloat16 they then are for every window.
    """
    shape = request.bottom_shapes[0]
    if op.size not in SIZES:
        return Declined(f"its code for windows of {op.size} cannot be trusted, only for 3 and 5")
    algorithm = api.LRN_WITHIN_CHANNEL if op.within else api.LRN_ACROSS_CHANNELS
    # The library divides its alpha by the places of a window, as Caffe does; ops.LRN has done so.
    alpha = op.alpha * (op.size**2 if op.within else op.size)
    numbers = op.size, alpha, op.beta, op.k

    def arguments(data: DnnlLayout) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (algorithm, data, data, *numbers), (algorithm, data, data, data, *numbers)

    # Converted anyway, it may as well be halved.
    halved = request.math.halves and shape[1] % 16 == 0
    dtype = api.BF16 if halved else api.F32
    arrangements = [
        *(blocked(shape, dtype, block) for block in BLOCKS),
        channels_last(shape, dtype),
    ]
    arrived = arriving(request.bottom_layouts[0], shape)
    if arrived.dtype == api.F32 or shape[1] % 16 == 0:
        arrangements.insert(0, arrived)
    found = follow(request, "lrn", arguments, arrangements, ("bottom",))
    return found if isinstance(found, Declined) else _candidates(next(found), request, arguments)


def _candidates(plan: FollowerPlan, request: Request, arguments: Arguments) -> Iterator[Plan]:
    yield plan
    data, shape = plan.bottom_layouts[0], request.bottom_shapes[0]
    if plan.backward is None or not isinstance(data, DnnlLayout):
        return
    # The second candidate splits the batch, so that what is kept for backward fits into ROOM.
    count = _at_once(shape[0], plan.saved)
    arrange = arrangement_of(data)
    assert arrange is not None
    part = arrange((count, *shape[1:]), data.dtype)
    forward = describe(replace(request, backward=False), "lrn", *arguments(data))
    passes = describe(request, "lrn", *arguments(part))
    if forward is not None and passes is not None:
        yield _frugal(plan, forward[0], passes, shape[0] // count)


@dataclass(kw_only=True)
class FrugalPlan(Plan):
    """Nothing is kept from forward to backward, which works it out again, a few images at a time.

    forward           without what backward needs
    again, backward   of one part: with it, and with a top that goes where dx will be
    parts             that the images fall into
    rooms             where in the workspace there is room for it, and for scratchpads
    """

    forward: Description
    again: Description
    backward: Description
    parts: int
    rooms: tuple[int, ...]

    def bind(self, memory: Bindings) -> tuple[Run, Run]:
        (dx,), (dy,) = memory.bottom_diff_memory, memory.top_diff_memory
        assert dx is not None and memory.workspace is not None
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        kept, scratchpad = (memory.workspace.address + start for start in self.rooms)
        forward = self.forward.step({api.SRC: x, api.DST: y}, scratchpad)
        steps, step_bytes = [], argument_bytes(self.again, api.SRC)
        for start in range(0, self.parts * step_bytes, step_bytes):
            # Forward again, for what it keeps; its top is not needed and goes where dx comes next.
            both = {api.SRC: x + start, api.WORKSPACE: kept}
            gradients = {api.DIFF_SRC: dx.address + start, api.DIFF_DST: dy.address + start}
            steps.append(self.again.step({**both, api.DST: dx.address + start}, scratchpad))
            steps.append(self.backward.step({**both, **gradients}, scratchpad))
        return sequence([forward]), sequence(steps)


def _frugal(plan: FollowerPlan, forward: Description, passes: Passes, parts: int) -> FrugalPlan:
    again, backward = passes
    assert backward is not None
    scratchpad = max(found.scratchpad for found in (forward, again, backward))
    rooms, workspace = packed([argument_bytes(again, api.WORKSPACE), scratchpad])
    return FrugalPlan(
        algorithm=f"{plan.algorithm} recomputed",
        passes={"forward": forward.name, "backward": f"{again.name}, {backward.name}"},
        forward=forward,
        again=again,
        backward=backward,
        parts=parts,
        rooms=tuple(rooms),
        workspace=workspace,
        keeps=plan.keeps,
        bottom_layouts=plan.bottom_layouts,
        top_layouts=plan.top_layouts,
    )


def _at_once(images: int, kept_bytes: int) -> int:
    """Return the largest equal part of the images for which at most ROOM has to be kept.

    >>> _at_once(64, kept_bytes=149 << 20), _at_once(61, kept_bytes=149 << 20)
    (4, 1)
    """
    fits = [n for n in range(1, images + 1) if images % n == 0 and kept_bytes * n <= images * ROOM]
    return max(fits, default=1)
