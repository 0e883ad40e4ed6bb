"""Runs parts, each in a process of its own, and goes on behind a case that ends its process.

Imports neither minidl nor NumPy: what is broken there has to be in the report, not end it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.part import BROKEN
from benchmarks.gpu.plan import GRACE, Part

SCRIPT = Path(__file__).resolve().parent / "part.py"
STARTS = 12  # processes for one part
TAIL = 3000  # characters of a broken process's last words

Found = dict[str, Any]


def run_part(part: Part, folder: Path, seconds: float, tiny: bool, grace: float = GRACE) -> Found:
    """All of a part's cases, or as many as so many seconds allow.

    folder   its results and its log are written there

    Returns {"part", "title", "seconds", "cases", "starts"}; each case as part.py describes it. A
    part that does not even start is a failed case of the name "start".
    """
    stem = part.name.replace(":", "-")
    results, log = folder / f"{stem}.jsonl", folder / f"{stem}.log"
    results.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    began, starts = time.perf_counter(), 0
    cases: list[Found] = []
    while starts < STARTS:
        left = seconds - (time.perf_counter() - began)
        words = [part.name, str(results), "--seconds", f"{max(left, 0):.1f}"]
        words += ["--skip", str(len(cases))] + ["--tiny"] * tiny
        starts += 1
        how = _process(words, log, max(left, 0) + grace)
        before = len(cases)
        cases, running = _read(results)
        if how == "0":
            break
        if how != str(BROKEN):
            cases.append(_ended(running or "start", how, log))
            _append(results, cases[-1])
        if running is None and (how != str(BROKEN) or len(cases) == before):
            break  # it broke between cases, and would again
    took = time.perf_counter() - began
    return {
        "part": part.name,
        "title": part.title,
        "seconds": took,
        "starts": starts,
        "cases": cases,
    }


def _process(words: list[str], log: Path, limit: float) -> str:
    """How it ended: "0", "3", "signal SIGSEGV", "no end within 60 s"."""
    with log.open("ab") as file:
        command = [sys.executable, str(SCRIPT), *words]
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"no end within {limit:.0f} s"
        except BaseException:
            _end(process)
            raise
    return f"signal {signal.Signals(-code).name}" if code < 0 else str(code)


def _end(process: subprocess.Popen) -> None:
    """End it, and the contenders that it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(results: Path) -> tuple[list[Found], str | None]:
    """The cases that came to an end, and the one that was begun and did not."""
    cases, running = [], None
    for line in results.read_text("utf-8").splitlines() if results.exists() else ():
        found = json.loads(line)
        running = found.get("begin")
        if running is None:
            cases.append(found)
    return cases, running


def _append(results: Path, case: Found) -> None:
    with results.open("a", encoding="utf-8") as file:
        print(json.dumps(case), file=file)


def _ended(name: str, how: str, log: Path) -> Found:
    words = log.read_text("utf-8", errors="replace")[-TAIL:]
    what = how if how.startswith(("signal", "no end")) else f"status {how}"
    return {
        "name": name,
        "status": "failed",
        "seconds": 0.0,
        "error": f"its process ended: {what}",
        "traceback": words,
    }
