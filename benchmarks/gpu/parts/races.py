"""The races of benchmarks/gpu/rows.py, by the conductor of `make bench`."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine, report, run
from benchmarks.gpu import rows
from benchmarks.gpu.cases import Case, Facts, LeftOut, Settings, Wrong
from benchmarks.rows import Race


def cases(settings: Settings) -> Iterator[Case]:
    with tempfile.TemporaryDirectory(prefix="minidl-gpu-bench-") as folder:
        races = [rows.lenet().quick()] if settings.tiny else rows.RACES
        for race in races:
            yield Case(race.name, functools.partial(raced, race, Path(folder)))


def raced(race: Race, folder: Path) -> Facts:
    """Our times beside PyTorch's. Errors: Wrong where they compute different things."""
    found = run.measure(race, folder, machine.cores())
    facts = {"race": found, "text": "\n".join(report.lines(found))}
    if "failed" in found:
        raise Wrong(found["failed"], facts)
    if "declined" in found:
        raise LeftOut(found["declined"])
    return facts
