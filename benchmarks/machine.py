"""What the figures were measured on, and who else was using it meanwhile."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

# What decides how fast a matrix product can be, as Linux names it.
UNITS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")


def description() -> dict[str, Any]:
    """The processor, what it can do, cores that this process may use, memory, Python."""
    lines = _lines("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    total = [line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": cores(),
        "units": [unit for unit in UNITS if unit in flags],
        "memory_bytes": 1024 * int(total[0]) if total else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Disturbance:
    """How much of the machine others used, hypervisor included, since this was made.

    Other programs make every contender slower, but not all of them by the same factor: two
    threads that wait for each other suffer more than one. A ratio measured beside them is worth
    less, so the report shows this share.
    """

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> float | None:
        """0 for a quiet machine, 1 if others used all cores; None where Linux does not say it.

        Call it when the contenders have ended: the time of a running child is not yet known.
        """
        end = self._now()
        if self._start is None or end is None:
            return None
        wall, busy, ours = (b - a for a, b in zip(self._start, end, strict=True))
        return min(1.0, max(0.0, (busy - ours) / (wall * (os.cpu_count() or 1))))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds: of the clock, of all processors at work, of us and our ended children."""
        lines = _lines("/proc/stat")
        if not lines:
            return None
        ticks = [int(word) for word in lines[0].split()[1:9]]
        idle = ticks[3] + ticks[4]  # waiting for a disk is idle, too
        used = os.times()
        ours = used.user + used.system + used.children_user + used.children_system
        return time.perf_counter(), (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK"), ours


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
