"""The cupy engine: minidl's own CUDA kernels and cuBLAS, by way of CuPy.

`load(device)` answers with the engine, or says why there is none. Importing this package, or
anything in it, does not import CuPy.
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

# Which module has the plans for an operator: its `plans(engine, op, request)`.
MODULES = {
    ops.Conv: "convolution",
    ops.Gemm: "inner_product",
    ops.Pool: "pooling",
    ops.LRN: "lrn",
    ops.Softmax: "softmax",
    ops.SoftmaxLoss: "softmax_loss",
    ops.Dropout: "dropout",
    ops.Activation: "activation",
    ops.BatchNorm: "batch_norm",
    ops.Sum: "sum",
    ops.Concat: "concat",
}


class CupyKernels:
    """An `Engine` (see `minidl.engines`) for one GPU; plans are bound while it is current.

    generation   always 0: after a fork there is no GPU at all
    """

    name = "cupy"
    generation = 0

    def __init__(self, device: Device) -> None:
        self.device = device

    def plans(self, op: Any, request: Request) -> Iterable[Plan] | Declined:
        """Candidates for an op of `minidl.ops`, the one to try first in front, made lazily."""
        if type(op) not in MODULES:
            return Declined("")
        if any(0 in shape for shape in (*request.bottom, *request.top)):
            return Declined(f"there is nothing in a bottom or top: {request.bottom}")
        module = importlib.import_module(f"{__name__}.{MODULES[type(op)]}")
        return module.plans(self, op, request)

    def converter(self, source: Memory, target: Memory) -> Run:
        """What copies `source` to `target`, each in its own layout or plain float32."""
        convert = importlib.import_module(f"{__name__}.convert")
        return convert.converter(self.device, source, target)

    def updater(
        self, momentum: float, w: np.ndarray, g: np.ndarray, h: np.ndarray, threads: int
    ) -> Update | Declined:
        """Declined: a net on a GPU updates all its parameters at once (see `update.FlatSGD`)."""
        return Declined("it updates all parameters at once, not one by one")


def load(device: Device) -> CupyKernels | Declined:
    """The engine; or why there is none on this device."""
    if device.kind != "cuda":
        return Declined(f"its kernels run on a GPU, not on {device.name!r}")
    return CupyKernels(device)
