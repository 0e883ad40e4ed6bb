"""Plans for `ops.Concat`: arrays one after the other along an axis."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minidl import ops
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.arrangement import arrangement_of
from minidl.engines.onednn.layout import DnnlLayout, plain_or
from minidl.engines.onednn.library import DnnlError, Handle, dnnl
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.onednn.primitive import Description, favourite, sequence
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Declined, Request


@OPERATORS.serves(ops.Concat)
def plans(engine: Engine, op: ops.Concat, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan in the arrangement of the first bottom that is not plain.

    Where channels lie in blocks, each part has to begin with one. Backward copies the parts out
    of dy.
    """
    axis = op.axis % len(request.top_shapes[0])
    # A layout fits one shape only, and the bottoms differ in size along the axis: the arrangement
    # behind the layout is applied to each of them.
    first = next((layout for layout in request.bottom_layouts if layout is not None), None)
    arrange = arrangement_of(first)
    if arrange is None:
        return Declined(f"it cannot arrange other arrays as {first}")
    # A bottom that arrives plain is converted, on the way in, to what the others have.
    dtype = first.dtype if isinstance(first, DnnlLayout) else api.F32
    bottoms = [arrange(shape, dtype) for shape in request.bottom_shapes]
    top = arrange(request.top_shapes[0], dtype)
    parts = _parts(top, bottoms, axis)
    if parts is None:
        sizes = [shape[axis] for shape in request.bottom_shapes]
        return Declined(f"parts of {sizes} channels do not all begin a block of {top}")
    layouts = (ctypes.c_void_p * len(bottoms))(*(bottom._as_parameter_ for bottom in bottoms))
    forward = favourite("concat", top, len(bottoms), axis, layouts)
    if forward is None or forward.reference:
        return Declined(f"only reference code for {top}, slower than NumPy")
    plan = ConcatPlan(
        algorithm=forward.name,
        forward=forward,
        workspace=forward.scratchpad,
        bottom_layouts=tuple(map(plain_or, bottoms)),
        top_layouts=(plain_or(top),),
    )
    if request.backward and any(request.wanted):
        plan.backward = [
            _copy(part, bottom) if want else None
            for part, bottom, want in zip(parts, bottoms, request.wanted, strict=True)
        ]
        scratchpads = [copy.scratchpad for copy in plan.backward if copy is not None]
        plan.workspace = max(plan.workspace, *scratchpads)
    return iter([plan])


@dataclass(kw_only=True)
class ConcatPlan(Plan):
    """One operation forward; backward one copy for each bottom (None where it is not wanted)."""

    forward: Description
    backward: Sequence[Description | None] = ()

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        scratchpad = memory.workspace.address if memory.workspace is not None else 0
        addresses = {api.MULTIPLE_SRC + i: m.address for i, m in enumerate(memory.bottom_memory)}
        step = self.forward.step({**addresses, api.DST: memory.top_memory[0].address}, scratchpad)
        if not self.backward:
            return sequence([step]), None
        dy = memory.top_diff_memory[0].address
        copies = [
            copy.step({api.SRC: dy, api.DST: dx.address}, scratchpad)
            for copy, dx in zip(self.backward, memory.bottom_diff_memory, strict=True)
            if copy is not None and dx is not None
        ]
        return sequence([step]), sequence(copies)


def _parts(top: DnnlLayout, bottoms: Sequence[DnnlLayout], axis: int) -> list[Handle] | None:
    """Describe each bottom's part of the top; None if one would begin inside a block."""
    parts, start = [], 0
    for bottom in bottoms:
        # A view of the top: same memory, fewer elements along the axis, beginning at `start`.
        offsets = [0] * len(top.dims)
        offsets[axis] = start
        args = top, api.dims(bottom.dims), api.dims(offsets)
        try:
            parts.append(dnnl().make("memory_desc", "memory_desc_create_submemory", *args))
        except DnnlError as error:
            if error.status == api.UNIMPLEMENTED:
                return None
            raise
        start += bottom.dims[axis]
    return parts


def _copy(part: Handle, whole: DnnlLayout) -> Description:
    engine = dnnl().engine
    copy = favourite("reorder", part, engine, whole, engine)
    assert copy is not None
    return copy
