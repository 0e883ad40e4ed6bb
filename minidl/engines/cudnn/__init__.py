"""The cuDNN engine: NVIDIA's library for neural networks on its GPUs, through ctypes.

`Cudnn.load` answers with the engine of a device, or says why there is none. Importing this
package, or anything in it, opens nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.memory import Memory
from minidl.engines.cudnn import (  # noqa: F401  each operator's module registers itself
    activation,
    batch_norm,
    convolution,
    library,
    lrn,
    pooling,
    softmax,
)
from minidl.engines.cudnn.algorithms import Algorithms
from minidl.engines.cudnn.operators import OPERATORS
from minidl.engines.cudnn.plan import Trials
from minidl.engines.engine import Engine
from minidl.engines.math import BF16, FLOAT32, FP16, TF32
from minidl.engines.plan import Plan, Run
from minidl.engines.request import Declined, Request


class Cudnn(Engine):
    """cuDNN on one device, whose name is its `isa`.

    algorithms   what the library says of the algorithms of convolutions
    trials       what it says of everything else, once asked
    """

    name, title, kind = "cudnn", "cuDNN", "cuda"
    operators = OPERATORS
    maths = FLOAT32, TF32, FP16, BF16

    def __init__(self, device: Device, found: library.Library) -> None:
        super().__init__(device)
        self.version = found.version
        self.isa = device.xp.cuda.runtime.getDeviceProperties(device.index)["name"].decode()
        self.algorithms, self.trials = Algorithms(device), Trials(device)

    @classmethod
    @functools.cache
    def load(cls, device: Device) -> Cudnn | Declined:
        if device.kind != cls.kind:
            return Declined(f"it computes on NVIDIA GPUs, not on {device.name!r}")
        found = library.opened()
        return found if isinstance(found, Declined) else cls(device, found)

    def plans(self, op: Any, request: Request) -> Iterable[Plan] | Declined:
        if type(op) not in self.operators:
            return Declined(f"it has nothing for {type(op).__name__}")
        try:
            with self.device.current():
                return super().plans(op, request)
        except library.CudnnError as error:  # a size that it has no room for, and the like
            return Declined(error.found)

    def converter(self, source: Memory, target: Memory) -> Run:
        from minidl.engines.cupy_kernels.layout import converter

        return converter(self.device, source, target)
