"""One race: all compute the same; heats find the fastest of each group; then everybody in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.alternate import Contender, Declined, alternate
from benchmarks.entries import Entry
from benchmarks.rows import Race
from benchmarks.verdict import Outcome, Timed

CHECK_STEPS, CHECK_BATCH = 4, 8
Running = tuple[Entry, Contender]


class Differ(Exception):
    """Contenders that should compute the same do not; the text names them and says by how much."""


class Runner:
    """Runs races, each contender with so many threads, on what models.py wrote to `folder`.

    say    is told what is going on
    """

    def __init__(self, folder: Path, threads: int, say: Callable[[str], None]) -> None:
        self.folder, self.threads, self.say = folder, threads, say

    def run(self, race: Race) -> Outcome:
        """Errors: Declined if our own contender cannot take part; Differ; Ended."""
        differences = self.check(race) if race.check else {}
        heats: dict[str, dict[str, Any]] = {}
        absent: dict[str, str] = {}
        with ExitStack() as stack:
            running = [self.heat([race.ours], race, stack, heats)]
            for group in dict.fromkeys(entry.group for entry in race.rivals):
                members = [entry for entry in race.rivals if entry.group == group]
                try:
                    running.append(self.heat(members, race, stack, heats))
                except Declined as reason:
                    absent[group] = str(reason)
            self.say(f"{race.rounds} rounds of {', '.join(entry.name for entry, _ in running)}")
            steps = [entry.steps or race.steps for entry, _ in running]
            alternate([contender for _, contender in running], race.rounds, steps)
            ours, *rivals = ((entry.group, timed(entry, c)) for entry, c in running)
        return Outcome(ours[1], dict(rivals), absent, differences, heats)

    def start(self, entry: Entry) -> Contender:
        job = entry.job | {"folder": str(self.folder)}
        return Contender(entry.name, job, self.threads, entry.environment)

    def heat(
        self,
        members: Sequence[Entry],
        race: Race,
        stack: ExitStack,
        heats: dict[str, dict[str, Any]],
    ) -> Running:
        """Warm all of them up; if they are several, race two rounds in half the steps.

        Keeps the fastest; what all of them did is left in `heats`. Errors: Declined if none of
        them can take part.
        """

        def half(entry: Entry) -> int:
            return max(1, (entry.steps or race.steps) // 2)

        running: list[Running] = []
        for entry in members:
            try:
                contender = stack.enter_context(self.start(entry))
            except Declined as reason:
                declined = reason
                continue
            contender.block(half(entry))
            running.append((entry, contender))
        if not running:
            raise declined
        if len(running) > 1:
            self.say(f"heats of {', '.join(entry.name for entry, _ in running)}")
            alternate([c for _, c in running], 2, [half(entry) for entry, _ in running])
        running.sort(key=lambda one: median(one[1].times or [0.0]))
        for entry, contender in running:
            if len(running) > 1:
                heats[entry.name] = {"seconds": contender.times, **contender.facts()}
            contender.times = []
        for _, contender in running[1:]:
            contender.close()
        return running[0]

    def check(self, race: Race) -> dict[str, float]:
        """Largest difference between ours and each of the others, relative to the largest number.

        In training the losses of the first steps are compared, on a few images, without dropout,
        whose masks are random; in inference the outputs.
        """
        compared = []
        for entry in (race.ours, *race.rivals):
            twin = comparable(entry)
            if twin is not None and all(twin.job != other.job for other in compared):
                compared.append(twin)
        self.say(f"checking that they compute the same: {', '.join(e.name for e in compared)}")
        results = {}
        for entry in compared:
            try:
                with self.start(entry) as contender:
                    results[entry.name] = contender.check(steps_checked(entry))
            except Declined:
                if entry is compared[0]:
                    raise
        return differences(results, race.check)


def comparable(entry: Entry) -> Entry | None:
    """The job as it is checked; None where nothing is computed, or random images are read."""
    job = entry.job
    if job.get("task") not in ("train", "infer") or "records" in job:
        return None
    if job["task"] == "train":
        job = job | {"dropout": False, "batch": min(job["batch"], CHECK_BATCH)}
    return replace(entry, job=job)


def steps_checked(entry: Entry) -> int:
    return CHECK_STEPS if entry.job["task"] == "train" else 1


def differences(results: dict[str, list[float]], allowed: float) -> dict[str, float]:
    """Of each but the first from the first. Errors: Differ."""
    (name, ours), *others = results.items()
    found = {}
    for other, theirs in others:
        largest = max(map(abs, theirs), default=0.0)
        worst = max((abs(a - b) for a, b in zip(ours, theirs, strict=True)), default=0.0)
        found[other] = worst / largest if largest else worst
        if not found[other] <= allowed:  # NaN is no agreement either
            raise Differ(
                f"{name} and {other} differ by {found[other]:.1e} of the largest number, "
                f"{allowed:g} is allowed: {ours[:4]} and {theirs[:4]}"
            )
    return found


def timed(entry: Entry, contender: Contender) -> Timed:
    """Errors: Differ if its loss is no number by now: it may have been faster for that."""
    facts = contender.facts()
    if not math.isfinite(facts.get("loss", 0.0)):
        raise Differ(f"the loss of {entry.name} is {facts['loss']}")
    return Timed(entry.name, contender.times, entry.images, facts)
