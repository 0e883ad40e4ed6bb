"""Threads that share a piece of work: made when first needed, kept, and safe under fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

_helpers: ThreadPoolExecutor | None = None


def share(work: Callable[[int], None], shares: int) -> None:
    """Call ``work(0)`` to ``work(shares - 1)``, on as many cores as there are; wait for all.

    The caller's thread does share 0, so one share needs no other thread. Threads help where the
    work is in NumPy, which lets go of the interpreter while it computes. Every share sees the
    caller's context variables, so `np.errstate` holds in all of them.

    Errors: an exception of any share, once all of them have ended; the first if there are several.
    """
    if shares == 1:
        work(0)
        return
    others = [_pool().submit(copy_context().run, work, i) for i in range(1, shares)]
    try:
        work(0)
    finally:
        failures = [other.exception() for other in others]  # waits
    for failure in failures:
        if failure is not None:
            raise failure


def _pool() -> ThreadPoolExecutor:
    """Return the threads besides the caller's; each starts when a share waits and none is idle."""
    global _helpers
    if _helpers is None:
        _helpers = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="minidl")
    return _helpers


def _forget() -> None:
    """Drop the threads in a forked child, which makes its own when it needs them."""
    global _helpers
    _helpers = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
