"""The oneDNN engine: Intel's library for neural networks on CPUs, through ctypes.

`load()` answers with the engine, or says why it is not to be had on this machine. Importing this
package, or anything in it, opens nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.device import Device
from minidl.arrays.memory import Memory
from minidl.engines import Declined, Plan, Request, Run, Update
from minidl.engines.onednn import api, layout, library, update

# Which module has the plans for an operator: its `plans(engine, op, request)`.
MODULES = {
    ops.Conv: "convolution",
    ops.Gemm: "inner_product",
    ops.Pool: "pooling",
    ops.LRN: "lrn",
    ops.Softmax: "softmax",
    ops.Activation: "activation",
    ops.BatchNorm: "batch_norm",
    ops.Sum: "sum",
    ops.Concat: "concat",
}


class OneDNN:
    """An `Engine` (see `minidl.engines`) on the opened library.

    version   "3.2.0"
    isa       the widest instruction set it uses here: "avx512_core"
    bf16      whether this machine multiplies bfloat16 numbers
    amx       whether it does so in tiles; without, bf16 is no faster than float32
    """

    name = "onednn"

    def __init__(self, dnnl: library.Library) -> None:
        self._dnnl, self.device = dnnl, Device("cpu")
        self.version, self.isa = dnnl.version, dnnl.isa
        self.bf16, self.amx = dnnl.bf16, dnnl.amx

    @property
    def generation(self) -> int:
        """1 more in a forked child."""
        return library.generation

    def plans(self, op: Any, request: Request) -> Iterable[Plan] | Declined:
        """Candidates for an op of `minidl.ops`, the one to try first in front, made lazily."""
        if type(op) not in MODULES:
            return Declined("")
        if any(0 in shape for shape in (*request.bottom, *request.top)):
            return Declined(f"there is nothing in a bottom or top: {request.bottom}")
        axes = max(map(len, (*request.bottom, *request.top)), default=0)
        if axes > api.MAX_AXES:
            return Declined(f"it takes arrays of at most {api.MAX_AXES} axes, not {axes}")
        if request.math == "bf16" and not self.bf16:
            return Declined(f"this machine's {self.isa} does not multiply bfloat16 numbers")
        self._dnnl.set_threads(request.threads)
        module = importlib.import_module(f"{__name__}.{MODULES[type(op)]}")
        return module.plans(self, op, request)

    def converter(self, source: Memory, target: Memory) -> Run:
        """What copies `source` to `target`, each in its own layout or plain float32."""
        return layout.converter(source, target)

    def updater(
        self, momentum: float, w: np.ndarray, g: np.ndarray, h: np.ndarray, threads: int
    ) -> Update | Declined:
        """An SGD update of all elements of one parameter."""
        self._dnnl.set_threads(threads)
        return update.updater(momentum, w, g, h)


def load() -> OneDNN | Declined:
    """The engine; or why there is none, and what to do about it."""
    dnnl = library.opened()
    return dnnl if isinstance(dnnl, Declined) else OneDNN(dnnl)
