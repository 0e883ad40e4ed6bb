"""How the machine is: processors, memory, disk, GPUs. What cannot be found out is left out."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import shutil
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h
QUERY = "index,name,memory.used,memory.total,utilization.gpu,temperature.gpu"


def system(root: Path) -> dict[str, Any]:
    """Return the load of processors, memory, GPUs, and the disk of the root."""
    found: dict[str, Any] = {"time": round(time.time(), 3), "gpus": gpus(), "cpu": _cpu()}
    with contextlib.suppress(OSError):
        disk = shutil.disk_usage(root)
        found["disk"] = {"total": disk.total, "free": disk.free}
    with contextlib.suppress(OSError, ValueError, IndexError):
        facts = {}
        for line in Path("/proc/meminfo").read_text("ascii").splitlines()[:8]:
            name, _, value = line.partition(":")
            facts[name] = int(value.split()[0]) * 1024
        found["memory"] = {"total": facts["MemTotal"], "free": facts["MemAvailable"]}
    return found


_before: list[tuple[int, int]] = []


def _cpu() -> dict[str, Any]:
    """Return the number of processors, and the share of their time that was used since the last
    time somebody asked."""
    found: dict[str, Any] = {"count": os.cpu_count() or 1, "used": None}
    with contextlib.suppress(OSError, ValueError, IndexError):
        times = [int(t) for t in Path("/proc/stat").read_text("ascii").split("\n")[0].split()[1:9]]
        now = (sum(times), times[3] + times[4])
        if _before and now[0] > _before[0][0]:
            total, idle = now[0] - _before[0][0], now[1] - _before[0][1]
            found["used"] = round(1 - idle / total, 3)
        _before[:] = [now]
    with contextlib.suppress(OSError, AttributeError):
        found["load"] = round(os.getloadavg()[0], 2)
    return found


@lru_cache(maxsize=1)
def _tool() -> str | None:
    return shutil.which("nvidia-smi")


def gpus() -> list[dict[str, Any]]:
    """Return the GPUs that NVIDIA's driver tells of: index, name, memory, use, temperature."""
    if _tool() is None:
        return []
    try:
        asked = [str(_tool()), f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
        text = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 6 and parts[0].isdecimal():
            used, total, busy, warm = (_number(part) for part in parts[2:])
            memory = {"used": (used or 0) * 2**20, "total": (total or 0) * 2**20}
            found.append(
                {
                    "index": int(parts[0]),
                    "name": parts[1],
                    "memory": memory,
                    "used": None if busy is None else busy / 100,
                    "temperature": warm,
                }
            )
    return found


@lru_cache(maxsize=1)
def devices() -> list[dict[str, str]]:
    """Return what a job may be sent to: the CPU and each GPU."""
    names = [{"id": str(gpu["index"]), "name": gpu["name"]} for gpu in gpus()]
    return [{"id": "cpu", "name": f"CPU, {os.cpu_count() or 1} processors"}, *names]


def python() -> str:
    """Return the version of Python."""
    return platform.python_version()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def spare() -> None:
    """Let the C library (glibc) keep little of what is freed: one arena for all threads, and large
    pieces straight from the system."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, 256 << 10)


def give_back() -> None:
    """Return freed memory to the system, where its C library can (glibc)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
