"""Operators that follow: they take the data as it arrives and hand it on in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from minidl.arrays.memory import Shape, nbytes
from minidl.engines.cudnn.plan import Call, CudnnPlan, arriving, like, sequence, wants_backward
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Declined, Request


@dataclass(frozen=True)
class Passes:
    """An operator's calls.

    forward    from the addresses of x and y
    backward   from those of x, y, dx and dy
    """

    forward: Callable[[int, int], list[Call]]
    backward: Callable[[int, int, int, int], list[Call]]


# From the shapes of bottom and top, and the layout of the bottom, to the calls for such arrays
Make = Callable[[Shape, Shape, Dense | None], Passes]


@dataclass(kw_only=True)
class FollowerPlan(CudnnPlan):
    """One bottom, one top; gradients lie as the data does. What is in `keeps` is read again."""

    made: Passes

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        forward = sequence(self.device, self.made.forward(x, y))
        gradients = memory.gradients()
        if gradients is None:
            return forward, None
        dx, dy = gradients
        calls = self.made.backward(x, y, dx.address, dy.address)
        return forward, sequence(self.device, calls)


def follow(
    engine: Any, op: Any, request: Request, name: str, make: Make, keeps: tuple[str, ...] = ()
) -> Iterator[Plan] | Declined:
    """Offer a plan for the order and number type in which the bottom arrives.

    It is tried on a few images first: see `Trials`.

    name    of the algorithm: "max_deterministic"
    keeps   what backward reads again
    """
    bottom, top, layout = request.bottom_shapes[0], request.top_shapes[0], arriving(request)
    backward = wants_backward(request)
    # The calls are tried once on a few images: whether they run depends on all extents but that.
    images = engine.trials.images(bottom, arrays=4)
    few_in, few_out = (images, *bottom[1:]), (images, *top[1:])
    made = make(bottom, top, layout)
    tried = make(few_in, few_out, like(layout, few_in))

    def calls(x: int, y: int, dx: int = 0, dy: int = 0) -> list[Call]:
        last = tried.backward(x, y, dx, dy) if backward else []
        return [*tried.forward(x, y), *last]

    shapes = [few_in, few_out] * (2 if backward else 1)
    sizes = [nbytes(shape, like(layout, shape), "float32") for shape in shapes]
    key = name, op, few_in, few_out, like(layout, few_in), backward
    if refusal := engine.trials.refusal(key, sizes, calls):
        return Declined(refusal)
    plan = FollowerPlan(
        device=engine.device,
        algorithm=name,
        made=made,
        keeps=keeps if backward else (),
        bottom_layouts=(layout,),
        top_layouts=(like(layout, top),),
    )
    return iter([plan])
