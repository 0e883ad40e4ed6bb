"""Kernels as a GPU runs them, with grids, warps and shuffles, on the CPU: see lockstep.h."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from minidl.engines.cupy_kernels.source import KERNEL, _without_comments
from tests.engines.cupy_kernels import host

EMULATOR = Path(__file__).with_name("lockstep.h").read_text("utf-8")


class RawModule:
    """Stands in for CuPy's; launches happen at once."""

    launches = 0

    def __init__(self, code: str) -> None:
        self.kernels = {name: _types(parameters) for _, name, parameters in KERNEL.findall(code)}
        launchers = (_launcher(name, types) for name, types in self.kernels.items())
        self.library = host.built("\n".join([EMULATOR, code, *launchers]))

    def get_function(self, name: str) -> Any:
        function, types = getattr(self.library, f"launch_{name}"), self.kernels[name]
        function.restype = ctypes.c_bool
        function.argtypes = [ctypes.c_uint] * 2 + [_c_type(t) for t in types]

        def launch(grid: tuple[int], block: tuple[int], args: tuple[Any, ...]) -> None:
            RawModule.launches += 1
            together = function(*grid, *block, *(arg.item() for arg in args))
            assert together, f"{name}: some lanes of a warp shuffle while others have ended"

        return launch


def _types(parameters: str) -> list[str]:
    """Of each parameter, as C++ names it: "const float *"."""
    types = []
    for parameter in _without_comments(parameters).split(","):
        words = parameter.replace("*", " * ").split()
        types.append("Pointer" if "*" in words else " ".join(w for w in words[:-1] if w != "const"))
    return types


def _launcher(name: str, types: list[str]) -> str:
    given = ", ".join(f"{kind} a{i}" for i, kind in enumerate(types))
    passed = ", ".join(f"a{i}" for i in range(len(types)))
    return (
        f'extern "C" bool launch_{name}(unsigned blocks, unsigned threads, {given})\n'
        f"{{ return launch(blocks, threads, [&] {{ {name}({passed}); }}); }}\n"
    )


def _c_type(kind: str) -> Any:
    if kind == "Pointer":
        return ctypes.c_void_p  # a struct of one pointer is passed as a pointer is
    return host.CTYPES[kind]
