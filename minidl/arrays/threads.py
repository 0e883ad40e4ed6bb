"""The number of threads that compute: one for BLAS, engines and the solver's update."""

from __future__ import annotations

import os

from minidl.errors import UsageError

# What OpenBLAS and OpenMP read when they are loaded; the command line's --threads sets them all.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def most_threads() -> int:
    """Return a limit: more than any machine gains from, and fewer than it dies of."""
    return max(256, 8 * (os.cpu_count() or 1))


def threads() -> int:
    """Return the first of VARIABLES that is set to a number above 0, else all usable cores.

    Errors: UsageError for more than `most_threads`.
    """
    for name in VARIABLES:
        value = os.environ.get(name, "").split(",")[0].strip().lstrip("0")
        if not value.isdecimal():
            continue
        if len(value) > 9 or int(value) > most_threads():
            raise UsageError(
                f"{name} is {value}",
                expected=f"1 to {most_threads()} on this machine of {os.cpu_count()} cores",
            )
        return int(value)
    return usable_cores()
