"""A fake GPU: enough of CuPy, on the host's memory, to run what minidl does with a GPU.

    gpu = fakegpu.install(monkeypatch)     # `import cupy` finds the fake from now on
    with gpu.strict():                     # a transfer, a wait or an allocation raises
        net.forward()
    assert gpu.launches == 12

It is stricter than it has to be to compute: host and device arrays do not mix, functions and
arguments are those of CuPy (api.json), new memory is full of NaN, writing beyond its end is found,
kernels are compiled from their CUDA source, and what a stream captures happens when the graph is
launched. With ``gpu.lazy = True`` work waits in its stream as long as CUDA allows, which shows
memory of the host that is overwritten too early, and streams that do not wait for one another.
Under ``gpu.lenient_tests()`` code of tests, and of nobody else, may treat device arrays as if they
were the host's: so the tests of nets and solvers run on both (tests/places.py).
What it cannot show: speed, rounding of a real chip, and races between the threads of a kernel.
"""

import os
import sys
from pathlib import Path

from tests.fakegpu import machine as _machine
from tests.fakegpu.errors import CUDARuntimeError, OutOfMemoryError, Refused
from tests.fakegpu.machine import Machine as FakeGpu

__all__ = [
    "CUDARuntimeError", "FakeGpu", "OutOfMemoryError", "Refused", "environment", "install",
]  # fmt: skip

_OURS = ("cupy", "cupyx", "cupy_backends")
# Modules that remember what they found of a GPU, in functions under functools.cache.
_REMEMBER = ("minidl.arrays.device", "minidl.engines")


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
    monkeypatch.setattr(_Forgetting(), "gpu", gpu, raising=False)
    return gpu


def environment(devices=1, memory=16 << 30, cudnn=False):
    """Variables for a process that is to find the fake from its start on, such as `minidl train`.

    subprocess.run(command, env=os.environ | fakegpu.environment())

    cudnn   it is to find the fake cuDNN, too
    """
    here = Path(__file__).parent
    path = [str(here / "site"), str(here.parents[1]), os.environ.get("PYTHONPATH", "")]
    found = {
        "MINIDL_TEST_FAKEGPU": f"{devices},{memory}",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }
    return found | ({"MINIDL_TEST_FAKECUDNN": "1"} if cudnn else {})


class _Forgetting:
    """When this is patched, and when that is undone, minidl forgets the GPU that it has seen."""

    def __setattr__(self, name, value):
        forget()

    def __delattr__(self, name):
        forget()


def forget():
    """Make modules of minidl look again whether there is a GPU, and drop what they keep for one."""
    if cublas := sys.modules.get("minidl.engines.cupy_kernels.cublas"):
        cublas._open.clear()  # a workspace of 32 MB each
    for name, module in list(sys.modules.items()):
        if name.startswith(_REMEMBER):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and getattr(value, "__module__", "") == name:
                    value.cache_clear()
