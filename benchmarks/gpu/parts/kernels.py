"""Every CUDA source of ours compiled by NVRTC for this very chip, and loaded into it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from benchmarks.gpu.cases import Case, Facts, Settings

WIDE = {"WIDE": 1}  # for arrays of more than 2**31 elements


def cases(settings: Settings) -> Iterator[Case]:
    from minidl.engines.cupy_kernels.source import units

    for unit in units():
        yield Case(unit, functools.partial(compiled, unit, {}))
        if not settings.tiny:
            yield Case(f"{unit}, wide", functools.partial(compiled, unit, WIDE))


def compiled(unit: str, defines: dict[str, int]) -> Facts:
    """Registers and local memory of each kernel, where CuPy says them: spilling shows there."""
    from minidl.arrays.device import Device
    from minidl.engines.cupy_kernels.source import signatures, source

    device = Device("cuda:0")
    with device.current():
        module = device.xp.RawModule(code=source(unit, defines))
        functions = {name: module.get_function(name) for name in signatures(unit)}
    return {
        name: {
            "registers": getattr(function, "num_regs", None),
            "local_bytes": getattr(function, "local_size_bytes", None),
        }
        for name, function in functions.items()
    }
