"""One plan alone: bound to memory in the layouts that it states, run, and read in C order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import Layout, Memory, Shape, nbytes
from minidl.engines.plan import Bindings, Plan

F32 = np.float32
CPU = Device("cpu")


def memory(shape: Shape, layout: Layout | None, values: Any = None, device: Device = CPU) -> Memory:
    """Memory for an array of a shape, holding `values`, or else NaN in every element."""
    raw = _garbage(nbytes(shape, layout, F32), device).array  # NaN as float32, and as bfloat16
    array = raw.view(F32).reshape(shape) if layout is None else raw
    made = Memory(shape, layout, array, device)
    if values is not None:
        made.assign(np.asarray(values, F32))
    return made


def plain(memory: Memory) -> np.ndarray:
    """A copy of the values, in C order, on the host."""
    return np.array(memory.device.to_host(memory.plain(F32)))


def param(values: Any, layout: Layout | None, gradient: Any = None, device: Device = CPU) -> Param:
    """A parameter as a plan sees it, full of garbage where nothing is given."""
    made = Param("p", np.shape(values), device, F32)
    made.values.move(memory(made.shape, layout, values, device))
    made.gradient.move(memory(made.shape, layout, gradient, device))
    made.gradient.fresh = gradient is None
    return made


class Bound:
    """A plan on memory of its own, where its `device` says (the CPU without one).

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
        self.device = device = getattr(plan, "device", CPU)

        def garbage(shape: Shape, layout: Layout | None) -> Memory:
            return memory(shape, layout, device=device)

        self.bottom = tuple(
            memory(*of, device) for of in zip(shapes, plan.bottom_layouts, x, strict=True)
        )
        self.top = tuple(map(garbage, tops, plan.top_layouts))
        self.bottom_diff: tuple[Memory | None, ...] = ()
        self.top_diff: tuple[Memory, ...] = ()
        if wanted:
            pairs = zip(shapes, plan.bottom_layouts, wanted, strict=True)
            self.bottom_diff = tuple(garbage(s, o) if want else None for s, o, want in pairs)
            self.top_diff = tuple(map(garbage, tops, plan.top_layouts))
        if in_place:
            self.top = (self.bottom[0], *self.top[1:])
            if wanted:
                self.top_diff = (self.bottom_diff[0], *self.top_diff[1:])
        self.params = {
            name: param(values, plan.params[name], given.get(name), device)
            for name, values in (params or {}).items()
        }
        self.memory = Bindings(  # has to outlive what is bound to it
            bottom_memory=self.bottom,
            top_memory=self.top,
            bottom_diff_memory=self.bottom_diff,
            top_diff_memory=self.top_diff,
            params=self.params,
            saved=_garbage(plan.saved, device) if plan.saved else None,
            workspace=_garbage(plan.workspace, device) if plan.workspace else None,
        )
        with device.current():
            self.forward, self.backward = plan.bind(self.memory)

    def run(self, dy: Sequence[Any] = ()) -> tuple[list, list, dict]:
        """Forward, and backward where dy is given: (tops, bottoms' gradients, parameters')."""
        with self.device.current():
            self.forward()
        tops = [plain(m) for m in self.top]
        if not dy:
            return tops, [], {}
        for gradient, values in zip(self.top_diff, dy, strict=True):
            gradient.assign(np.asarray(values, F32))
        with self.device.current():
            self.backward()
        dx = [None if m is None else plain(m) for m in self.bottom_diff]
        written = {n: p for n, p in self.params.items() if not p.gradient.fresh}
        return tops, dx, {n: plain(p.gradient.memory) for n, p in written.items()}


def run_plan(plan: Plan, x, tops, params=None, dy=(), wanted=None, **options):
    """Bind a plan and run it once; see `Bound`. All bottoms' gradients are wanted by default."""
    if wanted is None:
        wanted = [True] * len(x) if len(dy) else ()
    return Bound(plan, x, tops, params, wanted, **options).run(dy)


def _garbage(size: int, device: Device) -> Memory:
    """Memory as a plan finds it: full of what others left."""
    raw = device.bytes_(size)
    raw.fill(0xFF)
    return Memory((size,), None, raw, device)
