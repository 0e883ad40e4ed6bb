"""RawModule and RawKernel: the CUDA source, compiled by a C++ compiler, run by one thread.

The source has to be such that one thread does all the work: grid-stride loops, no shared memory,
no barriers (see minidl/engines/cupy_kernels/kernels.cuh). What a launch passes is compared with
the signature that the compiler saw: CuPy passes bytes, and a GPU would take them for something
else without a word.
"""

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.array import ndarray
from tests.fakegpu.errors import CUDARuntimeError
from tests.fakegpu.memory import MemoryPointer

# What a C++ compiler does not know of CUDA. Sources that ask __CUDACC__ need none of it.
PREFIX = """
#ifndef FAKEGPU
#define FAKEGPU 1
#include <math.h>
#include <string.h>
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
struct FakeIndex { unsigned x, y, z; };
static const FakeIndex threadIdx = {0, 0, 0}, blockIdx = {0, 0, 0};
static const FakeIndex blockDim = {1, 1, 1}, gridDim = {1, 1, 1};
#endif
"""
COMPILER = ("g++", "-std=c++17", "-O2", "-fPIC", "-w", "-ffp-contract=off")
# Options of NVRTC that say nothing to a C++ compiler, or something that it is told already.
IGNORED = re.compile(
    r"-(-gpu-architecture|-arch|arch|std|-std|-use_fast_math|-fmad|-restrict|lineinfo|"
    r"-generate-line-info|default-device|-device-as-default|G|-prec-div|-prec-sqrt|-ftz)(=.*)?$"
)

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


class CompileException(Exception):
    """NVRTC's, here the C++ compiler's."""

    def __init__(self, message, source):
        super().__init__(message)
        self.source = source


class RawModule:
    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc",
                 translate_cucomplex=False, enable_cooperative_groups=False,
                 name_expressions=None, jitify=False):  # fmt: skip
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path is not None or name_expressions is not None:
            raise NotImplementedError('the fake compiles `code` with extern "C" kernels only')
        if not isinstance(options, tuple):
            raise TypeError("options must be a tuple")
        self.code, self.options, self.backend = code, options, backend

    def compile(self, log_stream=None):
        compiled(self.code, self.options)

    def get_function(self, name):
        return RawKernel._of(*compiled(self.code, self.options), name)


class RawKernel:
    """One kernel: called with a grid, a block, and its arguments as CuPy takes them."""

    def __init__(self, code, name, options=(), backend="nvrtc", **_):
        self.__dict__ = RawModule(code, options=options).get_function(name).__dict__

    @classmethod
    def _of(cls, library, text, name):
        self = cls.__new__(cls)
        parameters = signature(text, name)
        try:
            self._function = getattr(library, name)
        except AttributeError:
            raise CUDARuntimeError(
                "CUDA_ERROR_NOT_FOUND", f'there is no extern "C" kernel {name!r}'
            ) from None
        self._function.restype = None
        self.name, self._parameters = name, parameters
        return self

    def __call__(self, grid, block, args, *, shared_mem=0):
        if shared_mem:
            raise NotImplementedError("the fake has no shared memory")
        machine = state.current()
        _dimensions(self.name, grid, block)
        if len(args) != len(self._parameters):
            raise TypeError(f"{self.name} takes {len(self._parameters)} arguments, got {len(args)}")
        passed, touched = [], []
        for i, (arg, (kind, name)) in enumerate(zip(args, self._parameters, strict=True)):
            at = f"{self.name}: argument {i} ({kind} {name})"
            value, memory = argument(arg, kind, at)
            passed.append(value)
            touched += memory
        machine.submit(lambda: self._function(*passed), *touched)


def _dimensions(name, grid, block):
    for what, sizes in (("grid", grid), ("block", block)):
        if not (isinstance(sizes, tuple) and 1 <= len(sizes) <= 3):
            raise TypeError(f"{name}: {what} has to be a tuple of one to three integers")
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
                raise TypeError(f"{name}: {what} is {sizes}, of {type(size).__name__}")
    limits = (2**31 - 1, 65535, 65535), (1024, 1024, 64)
    bad = any(
        not 1 <= size <= limit
        for sizes, most in zip((grid, block), limits, strict=True)
        for size, limit in zip(sizes, most, strict=False)
    )
    if bad or int(np.prod(block)) > 1024:
        raise CUDARuntimeError(
            "CUDA_ERROR_INVALID_VALUE", f"{name}: no launch of grid {grid}, block {block}"
        )


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


def signature(text, name):
    """[(type, name), ...] of a kernel's parameters, typedefs resolved, from preprocessed text."""
    found = re.search(rf"\bvoid\s+{re.escape(name)}\s*\(([^)]*)\)\s*\{{", text)
    if found is None:
        raise CUDARuntimeError("CUDA_ERROR_NOT_FOUND", f"there is no kernel {name!r}")
    aliases = ALIASES | {
        new: " ".join(old.split())
        for old, new in re.findall(r"\btypedef\s+([\w\s]+?)\s+(\w+)\s*;", text)
    }
    return [_parameter(part, aliases) for part in found[1].split(",") if part.strip()]


def _parameter(text, aliases):
    words = re.findall(r"\w+|\*", text)
    words = [w for w in words if w not in ("const", "__restrict__", "__restrict", "volatile")]
    stars, name = words.count("*"), words[-1]
    kind = " ".join(w for w in words[:-1] if w != "*")
    while kind in aliases:
        kind = aliases[kind]
    return kind + " *" * min(stars, 1), name


@cache
def compiled(code, options):
    """-> (the loaded library, the preprocessed text). Kept on disk by the source's hash."""
    flags = []
    for option in options:
        if re.match(r"-[DIU]", option):
            flags.append(option)
        elif not IGNORED.match(option):
            raise CompileException(f"NVRTC has no option {option!r}, or the fake not", code)
    text = PREFIX + code
    key = hashlib.sha256("\0".join((text, *flags, *COMPILER)).encode()).hexdigest()[:24]
    folder = Path(os.environ.get("MINIDL_FAKEGPU_CACHE", _folder()))
    folder.mkdir(parents=True, exist_ok=True)
    library, source = folder / f"{key}.so", folder / f"{key}.ii"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            entry, plain, built = (Path(work) / n for n in ("kernel.cpp", "kernel.ii", "k.so"))
            entry.write_text(text, "utf-8")
            _run([*COMPILER, *flags, "-E", "-P", str(entry), "-o", str(plain)], code)
            _run([*COMPILER, *flags, "-shared", str(entry), "-o", str(built)], code)
            os.replace(plain, source)
            os.replace(built, library)  # last: whoever sees it may use it
    return ctypes.CDLL(str(library)), source.read_text("utf-8")


def _folder():
    return Path(tempfile.gettempdir()) / f"minidl-fakegpu-{os.getuid()}"


def _run(command, code):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompileException(done.stderr, code)
