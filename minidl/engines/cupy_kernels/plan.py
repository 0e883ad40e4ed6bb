"""What all plans of this engine share."""

from __future__ import annotations

from dataclasses import dataclass

from minidl.arrays.device import Device
from minidl.engines.plan import PlanFields


@dataclass(kw_only=True)
class KernelPlan(PlanFields):
    """A Plan (see `minidl.engines`) with nothing in it yet; each operator derives its own."""

    device: Device
