"""CUDA sources made into shared libraries by a C++ compiler."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

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
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-w", "-ffp-contract=off", "-Wl,--no-undefined")
# Options of NVRTC that say nothing to a C++ compiler, or something that it is told already.
IGNORED = re.compile(
    r"-(-gpu-architecture|-arch|arch|std|-std|-use_fast_math|-fmad|-restrict|lineinfo|"
    r"-generate-line-info|default-device|-device-as-default|G|-prec-div|-prec-sqrt|-ftz)(=.*)?$"
)


class CompileException(Exception):
    """NVRTC's, here the C++ compiler's."""

    def __init__(self, message, source):
        super().__init__(message)
        self.source = source


@cache
def compiled(code, options):
    """-> (the loaded library, the preprocessed text). Kept on disk by the source's hash."""
    flags = []
    for option in options:
        if re.match(r"-[DIU]", option):
            flags.append(option)
        elif not IGNORED.match(option):
            raise CompileException(f"the fake does not know NVRTC's option {option!r}", code)
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        import pytest

        pytest.skip("no C++ compiler (g++ or c++) to build kernels for the fake GPU with")
    command, text = (compiler, *FLAGS, *flags), PREFIX + code
    key = hashlib.sha256("\0".join((text, *command)).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"minidl-fakegpu-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    library, source = folder / f"{key}.so", folder / f"{key}.ii"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            entry, plain, built = (Path(work) / n for n in ("kernel.cpp", "kernel.ii", "k.so"))
            entry.write_text(text, "utf-8")
            _run([*command, "-E", "-P", str(entry), "-o", str(plain)], code)
            _run([*command, "-shared", str(entry), "-o", str(built)], code)
            os.replace(plain, source)
            os.replace(built, library)  # last: whoever sees it may use it
    return ctypes.CDLL(str(library)), source.read_text("utf-8")


def _run(command, code):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompileException(done.stderr, code)
