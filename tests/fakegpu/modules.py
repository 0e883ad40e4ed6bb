"""The modules that `import cupy` finds while the fake is installed."""

import types

import numpy as np

from tests.fakegpu import cublas, cuda, graph, libcublas, memory, operators, raw, stream
from tests.fakegpu.array import ndarray
from tests.fakegpu.compiler import CompileException
from tests.fakegpu.errors import CUDARuntimeError, OutOfMemoryError
from tests.fakegpu.functions import OWN, as_strided, function
from tests.fakegpu.table import TABLE
from tests.fakegpu.ufunc import ufunc

operators.install()


class Missing(AttributeError, NotImplementedError):
    """CuPy has it, the fake has it not yet."""


class Extension(types.ModuleType):
    """A module whose file is a shared library, built when somebody asks for it."""

    def __init__(self, name, contents, path):
        super().__init__(name)
        self.__dict__.update(contents, _path=path)

    def __getattr__(self, name):
        if name == "__file__":
            return self._path()
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class Module(types.ModuleType):
    """A module that says of a name that it has not whether CuPy has it."""

    def __init__(self, name, contents, known=()):
        super().__init__(name)
        self.__dict__.update(contents)
        self.__path__ = []  # a package: what is not in sys.modules is not found
        self.__dict__["_known"] = frozenset(known)

    def __getattr__(self, name):
        if name in self.__dict__.get("_known", ()):
            raise Missing(f"the fake GPU has no {self.__name__}.{name} yet, though CuPy has it")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _arrays():
    """What is in cupy itself: NumPy's types and constants, functions, ufuncs."""
    found = {}
    for name in TABLE["names"]:
        numpys = getattr(np, name, None)
        if name in OWN:
            found[name] = OWN[name]
        elif name in TABLE["ufuncs"]:
            if isinstance(numpys, np.ufunc):
                found[name] = ufunc(name)
        elif name in TABLE["functions"]:
            if callable(numpys):
                found[name] = function(name)
        elif isinstance(numpys, (type, float, int, type(None))) and hasattr(np, name):
            found[name] = numpys
    return found


_cupy = None


def cupy():
    """The fake's `cupy`."""
    return _cupy


def modules():
    """{name: module} for sys.modules."""
    global _cupy
    runtime = Module(
        "cupy.cuda.runtime",
        cuda.RUNTIME | cuda.CONSTANTS | {"CUDARuntimeError": CUDARuntimeError},
        TABLE["runtime"],
    )
    device = Module(
        "cupy.cuda.device",
        {"Device": cuda.Device, "get_cublas_handle": cuda.get_cublas_handle,
         "get_device_id": cuda.get_device_id},
    )  # fmt: skip
    pools = {"pool": memory.MemoryPool(), "pinned": memory.PinnedMemoryPool()}
    of_memory = {
        "Memory": memory.Memory, "MemoryPointer": memory.MemoryPointer,
        "MemoryPool": memory.MemoryPool, "alloc": memory.alloc,
        "using_allocator": memory.using_allocator,
        "OutOfMemoryError": OutOfMemoryError,
    }  # fmt: skip
    of_pinned = {
        "PinnedMemoryPointer": memory.PinnedMemoryPointer,
        "PinnedMemoryPool": memory.PinnedMemoryPool,
        "alloc_pinned_memory": memory.alloc_pinned_memory,
    }
    of_streams = {
        "Stream": stream.Stream, "Event": stream.Event,
        "get_current_stream": cuda.get_current_stream,
        "get_elapsed_time": stream.get_elapsed_time,
    }  # fmt: skip
    compiler = Module("cupy.cuda.compiler", {"CompileException": CompileException})
    driver = Module("cupy.cuda.driver", {"CUDADriverError": CUDARuntimeError})
    nvrtc = Module("cupy.cuda.nvrtc", {"getVersion": lambda: (13, 0)})
    parts = {
        "runtime": runtime, "nvrtc": nvrtc, "device": device, "compiler": compiler,
        "driver": driver,
        "memory": Module("cupy.cuda.memory", of_memory),
        "pinned_memory": Module("cupy.cuda.pinned_memory", of_pinned),
        "stream": Module("cupy.cuda.stream", of_streams),
        "graph": Module("cupy.cuda.graph", {"Graph": graph.Graph}),
    }  # fmt: skip
    of_cuda = Module(
        "cupy.cuda",
        parts | of_streams | of_pinned | of_memory
        | {"Device": cuda.Device, "Graph": graph.Graph, "is_available": cuda.is_available,
           "get_device_id": cuda.get_device_id, "get_cublas_handle": cuda.get_cublas_handle},
        TABLE["cuda"],
    )  # fmt: skip
    del of_cuda.OutOfMemoryError  # it is in cupy.cuda.memory only
    tricks = Module("cupy.lib.stride_tricks", {"as_strided": as_strided})
    lib = Module("cupy.lib", {"stride_tricks": tricks})
    _cupy = Module(
        "cupy",
        _arrays() | {
            "__version__": TABLE["version"], "ndarray": ndarray, "ufunc": ufunc, "cuda": of_cuda,
            "lib": lib, "RawModule": raw.RawModule, "RawKernel": raw.RawKernel,
            "get_default_memory_pool": lambda: pools["pool"],
            "get_default_pinned_memory_pool": lambda: pools["pinned"],
            "is_available": cuda.is_available,
        },
        TABLE["names"],
    )  # fmt: skip
    cupyx = Module(
        "cupyx",
        {"empty_pinned": memory.empty_pinned, "zeros_pinned": memory.zeros_pinned},
        TABLE["cupyx"],
    )
    blas = Extension(
        "cupy_backends.cuda.libs.cublas",
        cublas.FUNCTIONS | cublas.CONSTANTS | {"CUBLASError": cublas.CUBLASError},
        libcublas.path,
    )
    libs = Module("cupy_backends.cuda.libs", {"cublas": blas})
    backend = Module("cupy_backends.cuda", {"libs": libs})
    found = {
        "cupy": _cupy, "cupy.cuda": of_cuda, "cupy.lib": lib, "cupy.lib.stride_tricks": tricks,
        "cupyx": cupyx, "cupy_backends": Module("cupy_backends", {"cuda": backend}),
        "cupy_backends.cuda": backend, "cupy_backends.cuda.libs": libs, blas.__name__: blas,
    }  # fmt: skip
    return found | {part.__name__: part for part in parts.values()}
