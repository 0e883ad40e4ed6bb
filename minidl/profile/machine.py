"""Names of what computes here: the processor, a GPU."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.threads import threads
from minidl.arrays.units import bytes_


def computer(device: Device) -> str:
    """Return 'AMD EPYC, 2 threads', or what `gpu` says."""
    return f"{processor()}, {threads()} threads" if device.kind == "cpu" else gpu(device)


def processor() -> str:
    """Return the processor's name as the system knows it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def gpu(device: Device) -> str:
    """Return 'NVIDIA H200, compute capability 9.0, 132 multiprocessors, 139.8 GiB, ...'."""
    about = _properties(device)
    free, total = device.memory() or (0, 0)
    return ", ".join(
        [
            gpu_name(device),
            f"compute capability {about['major']}.{about['minor']}",
            f"{about['multiProcessorCount']} multiprocessors",
            bytes_(total),
            f"{bytes_(free)} available",
        ]
    )


def gpu_name(device: Device) -> str:
    """Return 'NVIDIA H200'."""
    name: bytes = _properties(device)["name"]
    return name.decode()


def _properties(device: Device) -> dict[str, Any]:
    found: dict[str, Any] = device.xp.cuda.runtime.getDeviceProperties(device.index)
    return found
