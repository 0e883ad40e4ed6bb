"""Numbers too small for float32's full precision taken as zero, where the processor can.

Below 1.2e-38 a float32 has fewer and fewer digits, and some processors compute with such denormal
numbers many times slower: the momentum of filters that have died, activations deep in a net that
does not learn.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import platform
import sys
from collections.abc import Iterator

from minidl.errors import DeviceError

# In the C library's fenv_t, the same in glibc and musl: where the control register lies, in bytes,
# and its bits that flush results to zero (on x86 FZ, and DAZ, which takes operands as zero, too).
_REGISTERS = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}


def flush_denormals(on: bool = True) -> None:
    """Take denormal numbers as zero, in this thread and in those that it starts afterwards.

    Called before NumPy is imported, that is all threads that compute; `--flush-denormals` does so.

    Errors: DeviceError where the system has no way to ask for it, known here.
    """
    _write(on)
    if on and not flushes():
        raise _refusal("the processor does not do it")


def flushes() -> bool:
    """Return whether this thread treats denormal numbers as zero."""
    return sys.float_info.min * _HALF == 0.0


@contextlib.contextmanager
def flushed(on: bool = True) -> Iterator[None]:
    """Flush denormals in this context, if `on`; restore what this thread did before it."""
    before = flushes()
    if on and not before:
        flush_denormals()
    try:
        yield
    finally:
        if on and not before:
            flush_denormals(False)


_HALF = float("0.5")  # not a constant that the compiler folds


def _write(on: bool) -> None:
    """Set the bits of the control register, by way of the C library."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _REGISTERS:
        raise _refusal(f"there is no known way on {sys.platform} on {machine}")
    offset, bits = _REGISTERS[machine]
    environment = (ctypes.c_uint8 * 64)()
    library = ctypes.CDLL(ctypes.util.find_library("m") or None)
    register = ctypes.c_uint32.from_buffer(environment, offset)
    if library.fegetenv(environment) != 0:
        raise _refusal("the C library does not say how floats are computed")
    register.value = register.value | bits if on else register.value & ~bits
    library.fesetenv(environment)


def _refusal(why: str) -> DeviceError:
    return DeviceError(
        f"denormal numbers cannot be flushed to zero: {why}", expected="Linux on x86-64 or ARM64"
    )
