"""What computes here: the device, the driver, and the versions of everything that has a say."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator

from benchmarks.gpu.cases import Case, Facts, LeftOut, Settings

PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "cupy", "numpy", "protobuf", "torch", "lmdb", "tqdm")


def cases(settings: Settings) -> Iterator[Case]:
    yield Case("minidl device_query", query)
    yield Case("versions", versions)
    yield Case("nvidia-smi", smi)


def query() -> Facts:
    """As the command prints it."""
    from minidl.arrays.device import Device
    from minidl.cli import device_query

    facts = device_query.query(Device("cuda:0").name)
    width = max(map(len, facts)) + 2
    return {"text": "\n".join(f"{k:<{width}}{v}" for k, v in facts.items()), "query": facts}


def versions() -> Facts:
    """Of CUDA as this process has it, and of packages; None where one is not installed."""
    from minidl.arrays.device import Device

    cuda = Device("cuda:0").xp.cuda.runtime
    properties = cuda.getDeviceProperties(0)
    return {
        "python": platform.python_version(),
        "driver": cuda.driverGetVersion(),
        "runtime": cuda.runtimeGetVersion(),
        "gpu": properties["name"].decode(),
        "capability": [properties["major"], properties["minor"]],
        "multiprocessors": properties["multiProcessorCount"],
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def smi() -> Facts:
    """Driver, clocks and who else is on the GPU, as NVIDIA's own program says it."""
    import shutil
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None:
        raise LeftOut("there is no nvidia-smi")
    done = subprocess.run([program], capture_output=True, text=True, timeout=15)
    return {"smi": done.stdout or done.stderr}
