"""A machine's equipment for computing on GPUs, and what is missing."""

from __future__ import annotations

import sys
from typing import Any

from minidl.arrays.device import INSTALL, Device, gpu_count
from minidl.engines.cudnn import library
from minidl.engines.cupy_kernels import blas
from minidl.engines.request import Declined
from minidl.errors import DeviceError
from minidl.profile import machine


def gpus() -> dict[str, str]:
    """Return facts by name, as text: each GPU, the driver, CuPy and cuDNN; or why there is none."""
    facts = _devices()
    cupy = sys.modules.get("cupy")  # Device tried to import it
    if cupy is not None:
        facts["driver"] = _driver(cupy.cuda.runtime.driverGetVersion())
        built = _version(cupy.cuda.runtime.runtimeGetVersion())
        facts["CuPy"] = f"{cupy.__version__}, CUDA {built}"
        facts["NVRTC"] = _compiler(cupy)
        without = blas.missing()
        facts["cuBLAS"] = "loaded" if without is None else without.reason
    return {**facts, "cuDNN": _cudnn()}


def _devices() -> dict[str, str]:
    try:
        names = [f"cuda:{index}" for index in range(gpu_count(Device("cuda:0").xp))]
    except DeviceError as error:
        facts = {"GPU": error.found}
        if isinstance(error.__cause__, ImportError):
            facts["CuPy"] = f"for computing on a GPU: {error.fix}"
        return facts
    return {name: machine.gpu(Device(name)) for name in names}


def _driver(number: int) -> str:
    return f"for CUDA {_version(number)} and older" if number else "none: install NVIDIA's driver"


def _compiler(cupy: Any) -> str:
    """Return the version of CUDA's compiler of kernels, which CuPy loads on demand."""
    try:
        major, minor = cupy.cuda.nvrtc.getVersion()
    except (RuntimeError, OSError) as error:
        why = str(error).partition("\n")[0]
        return f"nothing computes on a GPU without it ({why}): {INSTALL}"
    return f"{major}.{minor}"


def _cudnn() -> str:
    """Return '9.28.0, /usr/lib/libcudnn.so.9'; or why it is not available."""
    found = library.opened()
    if isinstance(found, Declined):
        return f"minidl's own kernels compute instead: {found.reason}"
    return f"{found.version}, {found.path}"


def _version(number: int) -> str:
    """
    >>> _version(13000), _version(12080)
    ('13.0', '12.8')
    """
    return f"{number // 1000}.{number % 1000 // 10}"
