"""The cuDNN engine: NVIDIA's library for neural networks on its GPUs, through ctypes.

`load(device)` answers with the engine of that device, or says why there is none. Importing this
package, or anything in it, opens nothing.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from typing import Any

from minidl import ops
from minidl.arrays.device import Device
from minidl.arrays.memory import Memory
from minidl.engines import Declined, Plan, Request, Run, Update
from minidl.engines.cudnn import library

# Which module has the plans for an operator: its `plans(engine, op, request)`.
MODULES = {
    ops.Conv: "convolution",
    ops.Pool: "pooling",
    ops.LRN: "lrn",
    ops.Softmax: "softmax",
    ops.Activation: "activation",
    ops.BatchNorm: "batch_norm",
}
MATHS = ("float32", "tf32", "fp16", "bf16")


class Cudnn:
    """An `Engine` (see `minidl.engines`) on one device.

    version      "9.28.0"
    isa          the device: times that were measured on one hold for its like
    algorithms   what the library says of the algorithms of convolutions
    trials       what it says of everything else, once asked
    """

    name = "cudnn"
    generation = 0  # nothing made before a fork can run behind it, and CUDA says so itself

    def __init__(self, device: Device, found: library.Library) -> None:
        from minidl.engines.cudnn.algorithms import Algorithms
        from minidl.engines.cudnn.plan import Trials

        self.device, self.version = device, found.version
        self.isa = device.xp.cuda.runtime.getDeviceProperties(device.index)["name"].decode()
        self.algorithms, self.trials = Algorithms(device), Trials(device)

    def plans(self, op: Any, request: Request) -> Iterable[Plan] | Declined:
        """Candidates for an op of `minidl.ops`, the one to try first in front, made lazily."""
        if type(op) not in MODULES:
            return Declined(f"it has nothing for {type(op).__name__}")
        if any(0 in shape for shape in (*request.bottom, *request.top)):
            return Declined(f"there is nothing in a bottom or top: {request.bottom}")
        if request.math not in MATHS:
            return Declined(f"its plans compute in {', '.join(MATHS)}, not in {request.math}")
        module = importlib.import_module(f"{__name__}.{MODULES[type(op)]}")
        try:
            with self.device.current():
                found: Iterable[Plan] | Declined = module.plans(self, op, request)
        except library.CudnnError as error:  # a size that it has no room for, and the like
            return Declined(error.found)
        return found

    def converter(self, source: Memory, target: Memory) -> Run:
        """What copies `source` to `target`, each in its own layout or plain float32."""
        convert = importlib.import_module("minidl.engines.cupy_kernels.convert")
        run: Run = convert.converter(self.device, source, target)
        return run

    def updater(self, momentum: float, w: Any, g: Any, h: Any, threads: int) -> Update | Declined:
        """None: one launch of the net's own kernel updates all parameters together."""
        return Declined("it has no update of parameters")


@functools.cache
def load(device: Device) -> Cudnn | Declined:
    """The engine of a device; or why there is none, and what to do about it."""
    if device.kind != "cuda":
        return Declined(f"it computes on NVIDIA GPUs, not on {device.name!r}")
    found = library.opened()
    return found if isinstance(found, Declined) else Cudnn(device, found)
