"""One plan alone: bound to memory in the layouts that it states, run, and read in C order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.engines import Bindings, Plan
from minidl.memory import Layout, Memory, Shape, aligned, nbytes

F32 = np.float32


def memory(shape: Shape, layout: Layout | None, values: Any = None) -> Memory:
    """Memory for an array of a shape, holding `values`, or else NaN in every element."""
    raw = aligned(nbytes(shape, layout, F32))
    if values is None:
        raw[...] = 0xFF  # a NaN as float32, and as bfloat16
    array = raw.view(F32).reshape(shape) if layout is None else raw
    made = Memory(shape, layout, array)
    if values is not None:
        made.assign(np.asarray(values, F32))
    return made


class FakeParam:
    """What a plan sees of a parameter (see `minidl.blob.Param`)."""

    def __init__(self, values: Any, layout: Layout | None, gradient: Any = None) -> None:
        self.memory = memory(np.shape(values), layout, values)
        self.gradient = memory(np.shape(values), layout, gradient)
        self.fresh, self.version, self.wanted = gradient is None, 1, True

    def assign(self, values: Any) -> None:
        self.memory.assign(values)
        self.touch()

    def touch(self) -> None:
        self.version += 1


class Bound:
    """A plan on memory of its own.

    x, dy    arrays to fill the bottoms and the tops' gradients with
    params   name -> values; `gradients` what is already in their gradients (default: fresh)
    wanted   which bottoms' gradients there is memory for
    """

    def __init__(
        self,
        plan: Plan,
        x: Sequence[Any],
        tops: Sequence[Shape],
        params: Mapping[str, Any] | None = None,
        wanted: Sequence[bool] = (),
        gradients: Mapping[str, Any] | None = None,
        in_place: bool = False,
    ) -> None:
        shapes, given = [np.shape(a) for a in x], gradients or {}
        self.bottom = tuple(map(memory, shapes, plan.bottom, x))
        self.top = tuple(map(memory, tops, plan.top))
        self.bottom_diff: tuple[Memory | None, ...] = ()
        self.top_diff: tuple[Memory, ...] = ()
        if wanted:
            pairs = zip(shapes, plan.bottom_diff, wanted, strict=True)
            self.bottom_diff = tuple(memory(s, o) if want else None for s, o, want in pairs)
            self.top_diff = tuple(map(memory, tops, plan.top_diff))
        if in_place:
            self.top = (self.bottom[0], *self.top[1:])
            if wanted:
                self.top_diff = (self.bottom_diff[0], *self.top_diff[1:])
        self.params = {
            name: FakeParam(values, plan.params[name], given.get(name))
            for name, values in (params or {}).items()
        }
        self.memory = Bindings(  # has to outlive what is bound to it
            bottom=self.bottom,
            top=self.top,
            bottom_diff=self.bottom_diff,
            top_diff=self.top_diff,
            params=self.params,
            saved=_garbage(plan.saved) if plan.saved else None,
            workspace=_garbage(plan.workspace) if plan.workspace else None,
        )
        self.forward, self.backward = plan.bind(self.memory)

    def run(self, dy: Sequence[Any] = ()) -> tuple[list, list, dict]:
        """Forward, and backward where dy is given: (tops, bottoms' gradients, parameters')."""
        self.forward()
        tops = [m.plain(F32).copy() for m in self.top]
        if not dy:
            return tops, [], {}
        for gradient, values in zip(self.top_diff, dy, strict=True):
            gradient.assign(np.asarray(values, F32))
        self.backward()
        dx = [None if m is None else m.plain(F32).copy() for m in self.bottom_diff]
        written = {n: p for n, p in self.params.items() if not p.fresh}
        return tops, dx, {n: p.gradient.plain(F32).copy() for n, p in written.items()}


def run_plan(plan: Plan, x, tops, params=None, dy=(), wanted=None, **options):
    """Bind a plan and run it once; see `Bound`. All bottoms' gradients are wanted by default."""
    if wanted is None:
        wanted = [True] * len(x) if len(dy) else ()
    return Bound(plan, x, tops, params, wanted, **options).run(dy)


def _garbage(size: int) -> Memory:
    """Memory as a plan finds it: full of what others left."""
    raw = aligned(size)
    raw[...] = 0xFF
    return Memory((size,), None, raw)
