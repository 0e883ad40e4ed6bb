"""10,000 steps of LeNet: the memory of the device and of the host stays where it was."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.gpu.cases import Case, Facts, Settings, Wrong
from benchmarks.gpu.parts.nets import solver

STEPS, FIRST = 10_000, 1_000  # of all, and after which memory is looked at for the first time
ROOM = 2 << 20  # bytes: what a driver may take late
HOST = 32 << 20  # bytes of the host's memory that may come and go


def cases(settings: Settings) -> Iterator[Case]:
    steps, first, batch = (6, 3, 2) if settings.tiny else (STEPS, FIRST, 64)
    run = functools.partial(flat, steps, first, batch, settings.left)
    yield Case(f"LeNet, {steps} steps", run)


def flat(steps: int, first: int, batch: int, left: Any) -> Facts:
    """Train; compare the memory after `first` steps with that at the end."""
    made = solver("lenet", batch, "cuda:0")
    made.step(first)
    before, done = memory(made), first
    began = perf_counter()
    while done < steps and left() > 0:
        made.step(first)
        done += first
    seconds = perf_counter() - began
    after = memory(made)
    facts: Facts = {"before": before, "after": after, "steps": done}
    if done > first:
        facts["ms_a_step"] = 1e3 * seconds / (done - first)
        facts["text"] = f"{done} steps, {facts['ms_a_step']:.4f} ms each; {after}"
    grown = [
        f"{what} grew by {after[what] - before[what]} bytes"
        for what, room in (("pool", 0), ("taken", 0), ("device", ROOM), ("host", HOST))
        if after[what] - before[what] > room
    ]
    if done < steps:
        grown.append(f"only {done} of {steps} steps were done when the time was over")
    if grown:
        raise Wrong("; ".join(grown), facts)
    return facts


def memory(made: Any) -> dict[str, int]:
    """Bytes. device: in use on it, by anybody; pool: in use of CuPy's; taken: all that CuPy has;
    host: resident of this process."""
    device = made.net.device
    device.synchronize()
    pool = device.xp.get_default_memory_pool()
    free, total = device.xp.cuda.runtime.memGetInfo()
    return {
        "device": int(total - free),
        "pool": int(pool.used_bytes()),
        "taken": int(pool.used_bytes() + pool.free_bytes()),
        "host": _resident(),
    }


def _resident() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
