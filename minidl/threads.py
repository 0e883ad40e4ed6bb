"""How many threads compute: one number for BLAS, engines and the solver's update."""

from __future__ import annotations

import os

# What OpenBLAS and OpenMP read when they are loaded; the command line's --threads sets them all.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """The first of VARIABLES that is set to a number above 0, else all usable cores."""
    for name in VARIABLES:
        value = os.environ.get(name, "").split(",")[0]
        if value.isdigit() and int(value) > 0:
            return int(value)
    return usable_cores()
