"""A fake GPU: enough of CuPy, on the host's memory, to run what minidl does with a GPU.

    gpu = fakegpu.install(monkeypatch)     # `import cupy` finds the fake from now on
    with gpu.strict():                     # a transfer, a wait or an allocation raises
        net.forward()
    assert gpu.launches == 12

It is stricter than it has to be to compute: host and device arrays do not mix, functions and
arguments are those of CuPy (api.json), new memory is full of NaN, writing beyond its end is found,
kernels are compiled from their CUDA source, and what a stream captures happens when the graph is
launched. What it cannot show: speed, races between threads, and work that overtakes the host.
"""

import sys

from tests.fakegpu import machine as _machine
from tests.fakegpu.errors import CUDARuntimeError, OutOfMemoryError, Refused
from tests.fakegpu.machine import Machine as FakeGpu

__all__ = ["CUDARuntimeError", "FakeGpu", "OutOfMemoryError", "Refused", "install"]

_OURS = ("cupy", "cupyx", "cupy_backends")
# Modules that remember what they found of a GPU, in functions under functools.cache.
_REMEMBER = ("minidl.device", "minidl.engines")


def install(monkeypatch, devices=1, memory=16 << 30):
    """Put the fake in CuPy's place until `monkeypatch` is undone; -> its counters and switches.

    devices   how many there are; 0: CuPy is there, a GPU is not
    memory    bytes of each
    """
    from tests.fakegpu.modules import modules
    from tests.fakegpu.stream import NULL

    gpu = _machine.start(devices, memory)
    NULL._line.capture = None
    for name in list(sys.modules):
        if name.split(".")[0] in _OURS:
            monkeypatch.delitem(sys.modules, name)
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    forget()
    return gpu


def forget():
    """Forget what modules of minidl remember of the GPU that was there before."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_REMEMBER):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and getattr(value, "__module__", "") == name:
                    value.cache_clear()
