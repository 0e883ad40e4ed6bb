"""Kernels on the CPU: the very `.cu` sources by a C++ compiler, called on NumPy arrays."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl.engines.cupy_kernels.launch import as_type
from minidl.engines.cupy_kernels.source import signatures, source

CTYPES = {
    "*": ctypes.c_void_p,
    "Index": ctypes.c_int,
    "int": ctypes.c_int,
    "long long": ctypes.c_longlong,
    "float": ctypes.c_float,
}
FLAGS = ["-x", "c++", "-std=c++14", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-Wno-unknown-pragmas", "-Wno-unused-function"]


def run(unit: str, name: str, count: int, *arguments: Any, **defines: object) -> None:
    """Launch a kernel. Arrays are passed for pointers (C-contiguous), None for a null pointer."""
    signature = signatures(unit)[name]
    wide = "WIDE" in defines
    given = (count, *map(_address, arguments))
    assert len(given) == len(signature.parameters), signature.parameters
    types = [p.type for p in signature.parameters]
    c_types = [ctypes.c_longlong if t == "Index" and wide else CTYPES[t] for t in types]
    values = [as_type(t, v, wide).item() for t, v in zip(types, given, strict=True)]
    function = getattr(library(source(unit, defines)), name)
    function.argtypes, function.restype = c_types, None
    function(*values)


def _address(argument: Any) -> Any:
    if argument is None:
        return 0
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous
        return argument.ctypes.data
    return argument


def library(text: str) -> ctypes.CDLL:
    """The compiled source, with a launch a plain loop."""
    return built(text)


@functools.cache
def built(text: str) -> ctypes.CDLL:
    """What a C++ compiler makes of a text; kept in a folder for temporary files, named after it."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler (g++ or c++) to build the kernels with")
    command = [compiler, *FLAGS]
    digest = hashlib.blake2b(" ".join([*command, text]).encode(), digest_size=12).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"minidl-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    built = folder / f"{digest}.so"
    if not built.exists():
        with tempfile.TemporaryDirectory(dir=folder) as private:
            made = Path(private) / "made.so"
            done = subprocess.run(
                [*command, "-o", str(made), "-"], input=text, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            made.replace(built)  # in one step: another test may be building the same
    return ctypes.CDLL(str(built))
