"""What all plans of this engine share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minidl.engines.plan import PlanFields


@dataclass(kw_only=True)
class DnnlPlan(PlanFields):
    """A Plan (see `minidl.engines`) with nothing in it yet; each operator derives its own.

    passes   the implementation of each pass, where they differ or `algorithm` is not enough:
             {"forward": "jit:avx512_core", "backward data": "x64:gemm:jit"}
    """

    passes: Mapping[str, str] = field(default_factory=dict)
