"""Contenders: processes that work when told to, one at a time, and otherwise wait.

Each is a process of its own, so that neither's threads, allocator or environment touch the
other's. Blocks of steps alternate A B C, B C A, ... so that a machine which slows down for a while
slows down all of them.

The protocol is a JSON object a line: {"steps": n} is answered with the seconds of each step,
{"check": n} with the numbers that each of n steps gave, {"facts": 1} with what the contender is
and how much memory it has had.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

SCRIPT = Path(__file__).resolve().parent / "contenders" / "main.py"
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Work(Protocol):
    """What a contender does."""

    def step(self) -> None:
        """What is timed."""

    def result(self) -> list[float]:
        """What the last step gave: its loss, or the output of the net."""

    def facts(self) -> dict[str, Any]:
        """Versions, threads, algorithms: what was really used."""


class Declined(Exception):
    """A contender cannot take part; the text says why."""


class Ended(Exception):
    """A contender's process broke off; what it said about that is on stderr."""


def serve(work: Work, answers: Any) -> None:
    """A contender's main loop, until its input ends. `answers` is the pipe to the parent."""

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    answer(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "facts" in request:
            answer(**work.facts(), peak_bytes=peak_bytes())
        elif "check" in request:
            answer(numbers=[x for _ in range(request["check"]) for x in _numbers(work)])
        else:
            answer(times=[_timed(work) for _ in range(request["steps"])])


def _timed(work: Work) -> float:
    start = time.perf_counter()
    work.step()
    return time.perf_counter() - start


def _numbers(work: Work) -> list[float]:
    work.step()
    return work.result()


def peak_bytes() -> int | None:
    """The most memory that this process has had resident; None where Linux does not say it.

    Not ru_maxrss: that starts from what the parent had before it became this program.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(found[0]) if found else None


class Contender:
    """The parent's side of one process.

    job           what it is to do, for contenders/main.py
    environment   variables added to ours
    Errors: Declined, with the reason that the process gave.
    """

    def __init__(
        self, name: str, job: dict[str, Any], threads: int, environment: dict[str, str]
    ) -> None:
        variables = {variable: str(threads) for variable in THREADS} | environment
        self.name, self.times = name, []
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(job | {"threads": threads})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | variables,
            text=True,
        )
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def block(self, steps: int) -> list[float]:
        """The seconds that each of so many steps takes."""
        return self._ask(steps=steps)["times"]

    def check(self, steps: int) -> list[float]:
        """Do so many steps; the numbers that they gave."""
        return self._ask(check=steps)["numbers"]

    def facts(self) -> dict[str, Any]:
        return self._ask(facts=1)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise self._ended()
        answer = json.loads(line)
        if "declined" in answer:
            raise Declined(answer["declined"])
        return answer

    def _ended(self) -> Ended:
        return Ended(f"the process of {self.name} ended with status {self.process.wait()}")


def alternate(contenders: Sequence[Contender], rounds: int, steps: Sequence[int]) -> None:
    """One block a round of each, of steps[i] steps; the block's median step goes to its `times`.

    Who begins moves on by one from round to round. The first step of a block, whose caches are
    still the other's, counts like every other.
    """
    pairs = [*zip(contenders, steps, strict=True)]
    for i in range(rounds):
        first = i % len(pairs)
        for contender, count in pairs[first:] + pairs[:first]:
            contender.times.append(median(contender.block(count)))
