"""Time two programs against each other: in turns, on one machine, in one run.

Each contender is a process of its own, so that neither's threads, allocator or environment touch
the other's. Only one of them works at any moment; the other waits for its next block. Blocks
alternate A B, B A, A B, ... so that a machine which slows down for a while slows down both.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles


def serve(step: Callable[[], float], facts: dict[str, object]) -> None:
    """A contender's main loop: on each line "N", do N steps and answer with losses and times."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the pipe carries answers only
    print(json.dumps(facts), file=answers, flush=True)
    for line in sys.stdin:
        losses, times = [], []
        for _ in range(int(line)):
            start = time.perf_counter()
            losses.append(step())
            times.append(time.perf_counter() - start)
        print(json.dumps({"losses": losses, "times": times}), file=answers, flush=True)


class Contender:
    """The process behind one name; `facts` is what it says about itself when it is ready."""

    def __init__(self, script: str, name: str, arguments: list[str], threads: int) -> None:
        variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = dict(os.environ, **{name: str(threads) for name in variables})
        self.process = subprocess.Popen(
            [sys.executable, script, "--contender", name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.name, self.times, self.losses = name, [], []
        self.facts = self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early, status {self.process.wait()}")
        return json.loads(line)

    def block(self, steps: int) -> list[float]:
        print(steps, file=self.process.stdin, flush=True)
        answer = self._answer()
        self.losses += answer["losses"]
        return answer["times"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(a: Contender, b: Contender, rounds: int, steps: int) -> dict:
    """Alternate blocks; per contender the median step of each block, and b / a round by round."""
    for contender in (a, b):
        contender.block(steps)  # warm-up; its losses count, its times do not
    for i in range(rounds):
        for contender in (a, b) if i % 2 == 0 else (b, a):
            contender.times.append(median(contender.block(steps)))
    ratios = [theirs / ours for ours, theirs in zip(a.times, b.times, strict=True)]
    return {
        **{c.name: {**spread([1000 * t for t in c.times]), "unit": "ms"} for c in (a, b)},
        f"{b.name} / {a.name}": spread(ratios),
        "rounds": rounds,
        "steps a block": steps,
    }


def spread(values: list[float]) -> dict[str, float]:
    low, _, high = quantiles(values, n=4)
    return {"median": median(values), "quartiles": (low, high), "best": min(values)}


def machine() -> dict[str, object]:
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [s for s in info.read_text().splitlines() if s.startswith("model name")]
        cpu = models[0].split(":")[1].strip() if models else cpu
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
