"""The cupy engine: minidl's own CUDA kernels and cuBLAS, by way of CuPy.

`CupyKernels.load` answers with the engine of a device. Importing this package, or anything in it,
does not import CuPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl import ops
from minidl.arrays.device import Device
from minidl.arrays.memory import Memory
from minidl.engines.cupy_kernels import (  # noqa: F401  each operator's module registers itself
    activation,
    batch_norm,
    concat,
    convolution,
    dropout,
    inner_product,
    lrn,
    pooling,
    softmax,
    softmax_loss,
    sum,
)
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.engine import Engine
from minidl.engines.math import BF16, FLOAT32, FP16, TF32, Math
from minidl.engines.plan import Run
from minidl.engines.request import Declined
from minidl.engines.update import Step, Stretch, Update


class CupyKernels(Engine):
    """Our kernels on one GPU; plans are bound while it is current.

    Its `generation` stays 0: after a fork there is no GPU at all.
    """

    name, title, kind = "cupy", "the compiler of our own kernels", "cuda"
    operators = OPERATORS
    maths = FLOAT32, TF32, FP16, BF16

    @classmethod
    def load(cls, device: Device) -> CupyKernels | Declined:
        if device.kind != cls.kind:
            return Declined(f"its kernels run on a GPU, not on {device.name!r}")
        return cls(device)

    def prefers(self, op: Any, math: Math) -> bool:
        """Prefer what only passes over memory: our kernels do as Caffe does, down to which of equal
        maxima receives a gradient. In half precision arrays lie as cuDNN's convolutions left them,
        and cuDNN goes on with them."""
        return math.arrays == "float32" and not isinstance(op, ops.Conv)

    def converter(self, source: Memory, target: Memory) -> Run:
        from minidl.engines.cupy_kernels.layout import converter

        return converter(self.device, source, target)

    def updater(
        self, step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch], threads: int
    ) -> Update | Declined:
        from minidl.engines.cupy_kernels.update import updater

        return updater(self.device, step, arrays, stretches)
