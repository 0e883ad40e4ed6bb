"""cuBLAS's products of matrices, called in the library that CuPy has loaded.

CuPy's own functions refuse to be recorded into a CUDA graph ("calling cuBLAS API during stream
capture is currently unsupported", up to 14.2 at least), which cuBLAS itself allows. So this calls
it by ctypes, with a handle of our own: one for each device, bound to that device's stream.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from minidl.arrays.device import INSTALL, Device
from minidl.engines.request import Declined
from minidl.errors import RunError

# Bytes in which cuBLAS keeps sums of parts, what NVIDIA advises for Hopper. It has to be ours: in
# a graph, memory that cuBLAS takes by itself is taken and given back in every launch.
WORKSPACE = 32 << 20

# By code: h handle, i int, l long long, x address, z size. See cublas_api.h.
TYPES: dict[str, Any] = {
    "h": ctypes.c_void_p,
    "H": ctypes.POINTER(ctypes.c_void_p),
    "i": ctypes.c_int,
    "l": ctypes.c_longlong,
    "x": ctypes.c_void_p,
    "z": ctypes.c_size_t,
}
SIGNATURES = {
    "cublasCreate_v2": "H",
    "cublasSetStream_v2": "hx",
    "cublasSetWorkspace_v2": "hxz",
    "cublasGemmEx": "h ii iii x xii xii x xii ii",
    "cublasGemmStridedBatchedEx": "h ii iii x xiil xiil x xiil i ii",
}


class Cublas:
    """The library for one device; calls work in the device's stream, and may be recorded.

    Handles are never destroyed: at the end of the process there may be no driver left to do so.
    """

    def __init__(self, dll: ctypes.CDLL, device: Device) -> None:
        self._functions = {name: self._prototyped(dll, name) for name in SIGNATURES}
        self.handle = ctypes.c_void_p()
        with device.current():
            self._workspace = device.bytes_(WORKSPACE)
            self._functions["cublasCreate_v2"](ctypes.byref(self.handle))
            stream = device.stream.ptr  # type: ignore[attr-defined]
            self._functions["cublasSetStream_v2"](self.handle, stream)
            room = device.address(self._workspace)
            self._functions["cublasSetWorkspace_v2"](self.handle, room, WORKSPACE)

    def bound(self, name: str, *arguments: int) -> Callable[[], None]:
        """Bind a call to these arguments, after the handle; OverflowError for one too large."""
        codes = SIGNATURES[name].replace(" ", "")[1:]
        pairs = zip(codes, arguments, strict=True)
        given = [_fitting(name, TYPES[code], value) for code, value in pairs]
        return partial(self._functions[name], self.handle, *given)

    @staticmethod
    def _prototyped(dll: ctypes.CDLL, name: str) -> Any:
        function = getattr(dll, name)
        function.argtypes = [TYPES[code] for code in SIGNATURES[name].replace(" ", "")]
        function.restype = ctypes.c_int
        function.errcheck = _check
        return function


def _check(status: int, function: Any, _: Any) -> None:
    if status:
        raise RunError(f"{function.__name__} failed with status {status} (cublas_api.h names it)")


def _fitting(name: str, kind: Any, value: int) -> Any:
    """Return a number of C's type; ctypes would silently truncate one that is too large."""
    made = kind(value)
    if (made.value or 0) != value:
        raise OverflowError(f"{name} takes {8 * ctypes.sizeof(made)} bits for what is {value}")
    return made


_open: WeakKeyDictionary[Any, Cublas] = WeakKeyDictionary()


def cublas(device: Device) -> Cublas:
    """Return the library with this device's handle; the first call makes it and takes memory."""
    if device not in _open:
        from cupy_backends.cuda.libs import cublas as cupys

        # What it links to is found through it, wherever CuPy has found that.
        _open[device] = Cublas(ctypes.CDLL(cupys.__file__), device)
    return _open[device]


def missing() -> Declined | None:
    """Say why cuBLAS is not available; None if it is."""
    try:
        from cupy_backends.cuda.libs import cublas  # noqa: F401
    except ImportError as error:
        reason = str(error).partition("\n")[0]
        return Declined(f"cuBLAS cannot be loaded ({reason}): {INSTALL}")
    return None
