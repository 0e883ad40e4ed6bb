"""Plans on plain arrays alone: float32 in C order, however the bottoms are arranged."""

from __future__ import annotations

from dataclasses import dataclass

from minidl.engines.cupy_kernels.launch import Kernel, kernel
from minidl.engines.plan import Bindings, Plan
from minidl.engines.request import Request


@dataclass(kw_only=True)
class PlainPlan(Plan):
    """Its layouts follow from the request: None for every blob.

    request   what it answers
    """

    request: Request

    def __post_init__(self) -> None:
        self.bottom_layouts = (None,) * len(self.request.bottom_shapes)
        self.top_layouts = (None,) * len(self.request.top_shapes)
        if not self.has_backward:
            self.keeps = ()

    @property
    def has_backward(self) -> bool:
        """Whether a gradient of any bottom is asked for."""
        return self.request.backward and any(self.request.wanted)

    def kernel(self, unit: str, name: str, **defines: object) -> Kernel:
        """Return a kernel on the plan's device."""
        return kernel(self.device, unit, name, **defines)


def gradients(memory: Bindings) -> tuple[int, int]:
    """Return the addresses of dy and dx of a plan with one bottom and one top."""
    (dy,), (dx,) = memory.top_diff_memory, memory.bottom_diff_memory
    assert dx is not None
    return dy.address, dx.address
