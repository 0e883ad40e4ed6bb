"""The choice of engines for nets that are made in order to be measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from minidl.arrays.device import Device
from minidl.arrays.threads import threads
from minidl.engines import select
from minidl.engines.math import MATHS
from minidl.engines.select import Policy


@dataclass(frozen=True)
class Engines:
    """The arguments of `Net` that choose engines, under the same names."""

    engine: str | None = None
    math: str = "float32"
    algorithm: str = "fastest"
    workspace_limit: int | None = None
    tuning: str = "heuristic"
    deterministic: bool = False

    def policy(self, device: Device) -> Policy:
        """Return the policy of nets on this device.

        Errors: UsageError, EngineError as `minidl.engines.select.policy` has them.
        """
        asked = asdict(self)
        limit = asked.pop("workspace_limit")
        return select.policy(**asked, limit=limit, threads=threads(), device=device)

    def on(self, device: Device) -> Engines:
        """Return the same without what this device does not have, such as a GPU's arithmetic."""
        known = self.engine in (None, *select.names(device.kind))
        gpu_only = device.kind == "cpu" and MATHS[self.math] not in select.offered("cpu")
        return replace(
            self,
            engine=self.engine if known else None,
            math="float32" if gpu_only else self.math,
        )
