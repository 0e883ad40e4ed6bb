"""What a launch passes, compared with the kernel's parameters as the compiler saw them.

CuPy passes bytes: a GPU would take those of a double for a float without a word.
"""

import ctypes
import functools
import re

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.array import ndarray
from tests.fakegpu.errors import CUDARuntimeError
from tests.fakegpu.memory import MemoryPointer

# C's types: the NumPy types that CuPy passes as the same bytes; pointers: those of the array.
SCALARS = {
    "float": ("float32",), "double": ("float64", "float"), "bool": ("bool",),
    "char": ("int8",), "signed char": ("int8",), "unsigned char": ("uint8",),
    "short": ("int16",), "unsigned short": ("uint16",), "int": ("int32",),
    "unsigned int": ("uint32",), "long": ("int64", "int"), "unsigned long": ("uint64", "int"),
    "long long": ("int64", "int"), "unsigned long long": ("uint64", "int"),
}  # fmt: skip
CTYPES = {
    "float": ctypes.c_float, "double": ctypes.c_double, "bool": ctypes.c_bool,
    "char": ctypes.c_int8, "signed char": ctypes.c_int8, "unsigned char": ctypes.c_uint8,
    "short": ctypes.c_int16, "unsigned short": ctypes.c_uint16, "int": ctypes.c_int32,
    "unsigned int": ctypes.c_uint32, "long": ctypes.c_int64, "unsigned long": ctypes.c_uint64,
    "long long": ctypes.c_int64, "unsigned long long": ctypes.c_uint64,
}  # fmt: skip
ALIASES = {
    "unsigned": "unsigned int", "size_t": "unsigned long", "int8_t": "signed char",
    "uint8_t": "unsigned char", "int16_t": "short", "uint16_t": "unsigned short",
    "int32_t": "int", "uint32_t": "unsigned int", "int64_t": "long", "uint64_t": "unsigned long",
}  # fmt: skip


def argument(arg, kind, at):
    """-> the value for ctypes, and the device memory it points to."""
    machine = state.current()
    if kind.endswith("*"):
        if arg is None:
            return ctypes.c_void_p(0), []
        if isinstance(arg, ndarray):
            arg._here()
            _same_type(arg, kind[:-1].strip(), at)
            return ctypes.c_void_p(arg.data.ptr), [arg._memory]
        if isinstance(arg, MemoryPointer):
            return ctypes.c_void_p(arg.ptr), [arg.mem.allocation]
        if isinstance(arg, (int, np.int64, np.uint64)) and not isinstance(arg, bool):
            if int(arg) == 0:
                return ctypes.c_void_p(0), []
            memory = machine.heap.find(int(arg))
            if memory is None:
                raise CUDARuntimeError(
                    "cudaErrorIllegalAddress",
                    f"{at}: {int(arg):#x} is not an address of device memory",
                )
            return ctypes.c_void_p(int(arg)), [memory]
        raise TypeError(f"{at}: {type(arg)} is no pointer")
    if isinstance(arg, ndarray):
        raise TypeError(f"{at}: a device array, where the kernel takes a number")
    given = arg.dtype.name if isinstance(arg, np.generic) else type(arg).__name__
    allowed = SCALARS.get(kind)
    if allowed is None:
        raise NotImplementedError(f"{at}: the fake does not know this type")
    if given not in allowed:
        raise TypeError(
            f"{at}: got a {given}, whose bytes the kernel would misread; pass "
            f"numpy.{allowed[0]}(...)"
        )
    if given == "int" and not _range(kind)[0] <= arg <= _range(kind)[1]:
        raise OverflowError(f"{at}: {arg} does not fit")
    return CTYPES[kind](arg.item() if isinstance(arg, np.generic) else arg), []


def _range(kind):
    return (0, 2**64 - 1) if kind.startswith("unsigned") else (-(2**63), 2**63 - 1)


def _same_type(array, pointee, at):
    """A pointer to numbers of C's has to be given an array of the same."""
    expected = SCALARS.get(pointee)
    if expected is not None and array.dtype.name not in expected:
        raise TypeError(f"{at}: an array of {array.dtype}")


@functools.cache
def signature(text, name):
    """((type, name), ...) of a kernel's parameters, typedefs resolved, from preprocessed text."""
    found = re.search(rf"\bvoid\s+{re.escape(name)}\s*\(([^)]*)\)\s*\{{", text)
    if found is None:
        raise CUDARuntimeError("CUDA_ERROR_NOT_FOUND", f"there is no kernel {name!r}")
    aliases = _aliases(text)
    return tuple(_parameter(part, aliases) for part in found[1].split(",") if part.strip())


@functools.cache
def _aliases(text):
    return ALIASES | {
        new: " ".join(old.split())
        for old, new in re.findall(r"\btypedef\s+([\w\s]+?)\s+(\w+)\s*;", text)
    }


def _parameter(text, aliases):
    words = re.findall(r"\w+|\*", text)
    words = [w for w in words if w not in ("const", "__restrict__", "__restrict", "volatile")]
    stars, name = words.count("*"), words[-1]
    kind = " ".join(w for w in words[:-1] if w != "*")
    while kind in aliases:
        kind = aliases[kind]
    return kind + " *" * min(stars, 1), name
