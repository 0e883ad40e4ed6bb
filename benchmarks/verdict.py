"""From times to rows: ratios, their spread, and whether a goal is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, NamedTuple, Protocol


@dataclass
class Timed:
    """A contender after its race.

    times     seconds of a step: the median of each block, one a round
    images    in a step, or 0
    facts     what the contender said of itself, with "peak_bytes"
    """

    name: str
    times: list[float]
    images: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """A race after its end: our contender, and of each group of rivals the one that was fastest.

    absent         the groups that could not take part, with the reason
    differences    of what the others compute from what ours does, relative to the largest number
    heats          what those did that lost against another of their group
    """

    ours: Timed
    rivals: dict[str, Timed]
    absent: dict[str, str] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    heats: dict[str, Any] = field(default_factory=dict)


class Missing(Exception):
    """A row cannot be judged; the text says why."""


class Spread(NamedTuple):
    """A ratio (or seconds): what counts, and the quartiles over the rounds."""

    value: float
    low: float
    high: float


@dataclass
class Row:
    """One line of the table. `reached` is None where no goal is set."""

    against: str
    measure: str
    found: Spread
    unit: str
    goal: str = ""
    reached: bool | None = None


class Goal(Protocol):
    """What one row is about. Errors: Missing."""

    against: str

    def judge(self, outcome: Outcome) -> Row: ...


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), *quartiles(values))


def ratio(above: Sequence[float], below: Sequence[float], scale: float = 1.0) -> Spread:
    """The ratio of two medians, times `scale`; its quartiles are those of the rounds' ratios.

    A round's two blocks were measured one after the other, so its ratio suffers least from a
    machine that is fast in one minute and slow in the next.
    """
    rounds = [scale * a / b for a, b in zip(above, below, strict=True)]
    return Spread(scale * median(above) / median(below), *quartiles(rounds))


def rival(outcome: Outcome, group: str) -> Timed:
    if group not in outcome.rivals:
        raise Missing(outcome.absent.get(group, f"{group} did not run"))
    return outcome.rivals[group]


@dataclass(frozen=True)
class Faster:
    """So many times as fast as a rival; without `at_least` the ratio is only stated."""

    against: str
    at_least: float | None = None

    def judge(self, outcome: Outcome) -> Row:
        found = ratio(rival(outcome, self.against).times, outcome.ours.times)
        return _row(self.against, "speed", found, "x", at_least=self.at_least)


@dataclass(frozen=True)
class Throughput:
    """So much of a rival's images a second."""

    against: str
    at_least: float

    def judge(self, outcome: Outcome) -> Row:
        ours, theirs = outcome.ours, rival(outcome, self.against)
        found = ratio(theirs.times, ours.times, scale=ours.images / theirs.images)
        return _row(self.against, "images/s", found, "x", at_least=self.at_least)


@dataclass(frozen=True)
class Floor:
    """Time over that of the arithmetic alone, at the best rate of a matrix product in the race.

    products    how the groups begin that measure the rate
    """

    products: str
    at_most: float | None = None

    @property
    def against(self) -> str:
        return f"floor by {self.products}"

    def judge(self, outcome: Outcome) -> Row:
        groups = [group for group in outcome.rivals if group.startswith(self.products)]
        if not groups:
            raise Missing(f"no {self.products} ran")
        rates = {outcome.rivals[g].facts["library"]: outcome.rivals[g].facts for g in groups}
        library = max(rates, key=lambda name: rates[name]["gflops"])
        gflops = rates[library]["gflops"]
        operations = outcome.ours.facts["operations"]
        floor = operations / (gflops * 1e9)
        found = ratio(outcome.ours.times, [floor] * len(outcome.ours.times))
        name = f"floor {1e3 * floor:.4g} ms: {operations / 1e9:.4g} GFLOP at {gflops:.0f} GFLOP/s"
        return _row(f"{name} ({library})", "time", found, "x", at_most=self.at_most)


@dataclass(frozen=True)
class Memory:
    """Peak resident memory over a rival's."""

    against: str
    at_most: float | None = None

    def judge(self, outcome: Outcome) -> Row:
        theirs = _peak(rival(outcome, self.against))
        found = _peak(outcome.ours) / theirs
        name = f"{self.against}, {theirs / 1e9:.2f} GB"
        return _row(name, "peak memory", Spread(found, found, found), "x", at_most=self.at_most)


@dataclass(frozen=True)
class MemoryRecorded:
    """Peak resident memory over one that was measured elsewhere."""

    against: str
    bytes: float
    at_most: float

    def judge(self, outcome: Outcome) -> Row:
        found = _peak(outcome.ours) / self.bytes
        name = f"{self.against}, {self.bytes / 1e9:.2f} GB"
        return _row(name, "peak memory", Spread(found, found, found), "x", at_most=self.at_most)


@dataclass(frozen=True)
class Seconds:
    """So many seconds at most, whatever others take."""

    at_most: float | None = None
    against: str = "the clock"

    def judge(self, outcome: Outcome) -> Row:
        return _row(self.against, "time", spread(outcome.ours.times), "s", at_most=self.at_most)


@dataclass(frozen=True)
class Rate:
    """Gigabytes a second of the file that a step reads or writes."""

    against: str = "the clock"

    def judge(self, outcome: Outcome) -> Row:
        size = outcome.ours.facts["bytes"]
        rates = [size / seconds / 1e9 for seconds in outcome.ours.times]
        return _row(f"{self.against}, {size / 1e6:.0f} MB", "rate", spread(rates), "GB/s")


def _peak(timed: Timed) -> float:
    peak = timed.facts.get("peak_bytes")
    if not peak:
        raise Missing("this system does not say how much memory a process has had")
    return peak


def _row(
    against: str,
    measure: str,
    found: Spread,
    unit: str,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """Two decimals are shown, so two decimals are judged."""
    shown = round(found.value, 2)
    if at_least is not None:
        return Row(against, measure, found, unit, f">= {at_least:g}", shown >= at_least)
    if at_most is not None:
        return Row(against, measure, found, unit, f"<= {at_most:g}", shown <= at_most)
    return Row(against, measure, found, unit)
