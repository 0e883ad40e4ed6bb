"""Processes of this machine, told apart from later ones that are given the same number."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path


def token(pid: int) -> str:
    """Return when a process started, in words of the system; "" if there is no such process.

    Two processes with the same number have different tokens.
    """
    try:
        if os.path.isdir("/proc/self"):
            # After the name, which may hold anything: state is field 3, the start is field 22.
            text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
            fields = text.rpartition(")")[2].split()
            return "" if fields[0] in "ZX" else fields[19]
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    except (OSError, IndexError):
        return ""


def alive(pid: int, started: str) -> bool:
    """Return whether the process `pid` that began at `started`, a token, still runs."""
    return bool(started) and token(pid) == started


def send(pid: int, started: str, number: int, group: bool = False) -> bool:
    """Send a signal to a process; return whether it was there.

    pid, started   of `token`
    group          to all of its group, if it leads one: else others than its own may be in it

    Errors: PermissionError for a process of somebody else.
    """
    if not alive(pid, started):
        return False
    try:
        if group and hasattr(os, "killpg") and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
AFTER_EPOCH = getattr(signal, "SIGUSR1", None)  # asks a run to stop when its epoch ends
