"""Operators that follow: they take the data as it arrives and hand it on arranged alike.

Only where the library has nothing but its reference code for an arrangement, which is slower than
NumPy, do they ask for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from minidl.engines.onednn import api
from minidl.engines.onednn.layout import DnnlLayout, of_argument
from minidl.engines.onednn.library import dnnl
from minidl.engines.onednn.primitive import Description, favourite, sequence
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import Declined, Request

# The arguments that come after the propagation kind, forward and backward, for data arranged so
Arguments = Callable[[DnnlLayout], tuple[tuple[Any, ...], tuple[Any, ...]]]
Passes = tuple[Description, Description | None]  # forward, and backward where it is asked for


@dataclass(kw_only=True)
class FollowerPlan(Plan):
    """One bottom, one top, one operation each way; gradients are arranged as the data is.

    Backward reads the bottom or the top again, as `keeps` says; what the library itself keeps for
    it is in `saved`.
    """

    forward: Description
    backward: Description | None

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        scratchpad = memory.workspace.address if memory.workspace is not None else 0
        kept = {api.WORKSPACE: memory.saved.address} if memory.saved is not None else {}
        forward = sequence([self.forward.step({api.SRC: x, api.DST: y, **kept}, scratchpad)])
        if self.backward is None:
            return forward, None
        dx, dy = memory.bottom_diff_memory[0], memory.top_diff_memory[0]
        assert dx is not None
        # Backward's arguments besides the gradients: what the plan has promised to leave in place.
        again = {"bottom": {api.SRC: x}, "top": {api.DST: y}, "top sign": {api.DST: y}}
        for what in self.keeps:
            kept |= again[what]
        step = self.backward.step(
            {api.DIFF_SRC: dx.address, api.DIFF_DST: dy.address, **kept}, scratchpad
        )
        return forward, sequence([step])


def follow(
    request: Request,
    kind: str,
    arguments: Arguments,
    arrangements: Iterable[DnnlLayout],
    keeps: tuple[str, ...] = (),
) -> Iterator[FollowerPlan] | Declined:
    """Offer a plan for the first arrangement in which all passes asked for are fast.

    kind           "pooling": what is made are "pooling_forward" and "pooling_backward"
    arrangements   of the bottom, that in which it arrives in front
    """
    tried = []
    for arranged in arrangements:
        passes = describe(request, kind, *arguments(arranged))
        if passes is not None:
            return iter([_plan(request, passes, keeps)])
        tried.append(str(arranged))
    names = " or ".join(dict.fromkeys(tried))
    return Declined(f"{kind}: only reference code for {names}, slower than NumPy")


def describe(
    request: Request, kind: str, forward: tuple[Any, ...], backward: tuple[Any, ...]
) -> Passes | None:
    """Return the passes that a request asks for; None where one has nothing but reference code."""
    # Forward for training may keep something for backward (its `workspace`), for inference not.
    back = wants_backward(request)
    prop = api.FORWARD_TRAINING if back else api.FORWARD_INFERENCE
    first = favourite(f"{kind}_forward", prop, *forward)
    if first is None or first.reference:
        return None
    if not back:
        return first, None
    second = favourite(f"{kind}_backward", *backward, first)
    return None if second is None or second.reference else (first, second)


def wants_backward(request: Request) -> bool:
    """Tell whether a gradient of the only bottom is asked for."""
    return request.backward and request.wanted[0]


def _plan(request: Request, passes: Passes, keeps: tuple[str, ...]) -> FollowerPlan:
    forward, backward = passes
    bottom = of_argument(forward, api.SRC, request.bottom_shapes[0])
    top = of_argument(forward, api.DST, request.top_shapes[0])
    plan = FollowerPlan(
        algorithm=forward.name,
        passes={"forward": forward.name},
        forward=forward,
        backward=backward,
        workspace=forward.scratchpad,
        bottom_layouts=(bottom,),
        top_layouts=(top,),
    )
    if backward is not None:
        plan.passes = {**plan.passes, "backward": backward.name}
        plan.workspace = max(forward.scratchpad, backward.scratchpad)
        plan.saved = argument_bytes(forward, api.WORKSPACE)
        plan.keeps = keeps
    return plan


def argument_bytes(description: Description, argument: int) -> int:
    """Return the bytes of an operation's argument; 0 if it has no such argument."""
    desc = description.desc(argument)
    return 0 if desc is None else int(dnnl().ask("memory_desc_get_size", desc))
