"""The races of benchmarks/gpu/rows.py, by the conductor of `make bench`."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import machine, report, run
from benchmarks.gpu import rows
from benchmarks.gpu.cases import Case, Facts, LeftOut, Settings, Wrong
from benchmarks.rows import Race


def cases(settings: Settings) -> Iterator[Case]:
    with tempfile.TemporaryDirectory(prefix="minidl-gpu-bench-") as folder:
        races = [rows.lenet().quick()] if settings.tiny else rows.RACES
        took: list[float] = []
        for race in races:
            run = functools.partial(raced, race, Path(folder), took, settings.left)
            yield Case(race.name, run)


def raced(race: Race, folder: Path, took: list[float], left: Callable[[], float]) -> Facts:
    """Our times beside PyTorch's. Errors: Wrong where they compute different things.

    took   seconds of the races before: without as many left, none is begun, as it would be cut off
    """
    if left() < max(took, default=0.0):
        raise LeftOut("too little time is left to the part")
    before = left()
    try:
        return _measured(race, folder)
    finally:
        took.append(before - left())


def _measured(race: Race, folder: Path) -> Facts:
    found = run.measure(race, folder, machine.cores())
    facts = {"race": found, "text": "\n".join(report.lines(found))}
    if "failed" in found:
        raise Wrong(found["failed"], facts)
    if "declined" in found:
        raise LeftOut(found["declined"])
    return facts
