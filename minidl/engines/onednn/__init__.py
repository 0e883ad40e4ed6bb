"""The oneDNN engine: Intel's library for neural networks on CPUs, through ctypes.

`OneDNN.load` answers with the engine, or says why it is not available on this machine. Importing
this package, or anything in it, opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.memory import Memory
from minidl.engines.engine import Engine
from minidl.engines.math import BF16, FLOAT32, Math
from minidl.engines.onednn import (  # noqa: F401  each operator's module registers itself
    activation,
    api,
    batch_norm,
    chain,
    concat,
    convolution,
    inner_product,
    layout,
    library,
    lrn,
    pooling,
    softmax,
    sum,
    update,
)
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.plan import Plan, Run
from minidl.engines.request import Declined, Request
from minidl.engines.update import Step, Stretch, Update


class OneDNN(Engine):
    """oneDNN, once its library is open.

    amx   whether it multiplies bfloat16 numbers in tiles; without, bf16 is no faster than float32
    """

    name, title, kind = "onednn", "oneDNN", "cpu"
    operators = OPERATORS
    direct = "jit", "brg"
    maths: tuple[Math, ...] = FLOAT32, BF16

    def __init__(self, dnnl: library.Library) -> None:
        super().__init__(Device("cpu"))
        self._dnnl = dnnl
        self.version, self.isa = dnnl.version, dnnl.isa
        self.amx = dnnl.amx
        if not dnnl.bf16:
            self.maths = (FLOAT32,)

    @classmethod
    def load(cls, device: Device) -> OneDNN | Declined:
        dnnl = library.opened()
        return dnnl if isinstance(dnnl, Declined) else cls(dnnl)

    @property
    def generation(self) -> int:
        """1 more in a forked child."""
        return library.generation

    def surely_faster(self, math: Math) -> bool:
        return math is BF16 and self.amx

    def plans(self, op: Any, request: Request) -> Iterable[Plan] | Declined:
        axes = max(map(len, (*request.bottom_shapes, *request.top_shapes)), default=0)
        if axes > api.MAX_AXES:
            return Declined(f"it takes arrays of at most {api.MAX_AXES} axes, not {axes}")
        if request.math is BF16 and BF16 not in self.maths:
            return Declined(f"this machine's {self.isa} does not multiply bfloat16 numbers")
        self._dnnl.set_threads(request.threads)
        return super().plans(op, request)

    def converter(self, source: Memory, target: Memory) -> Run:
        return layout.converter(source, target)

    def updater(
        self, step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch], threads: int
    ) -> Update | Declined:
        self._dnnl.set_threads(threads)
        return update.updater(step, arrays, stretches)
