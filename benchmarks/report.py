"""The rows as a table for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
from statistics import median
from typing import Any

from benchmarks.rows import Race
from benchmarks.verdict import Missing, Outcome, Row, Timed, quartiles

# Seconds for 20 iterations of AlexNet by batch size, as a course on Caffe published them: with MKL
# on two ten-core Ivy Bridge processors, and with cuDNN on an NVIDIA K40.
COURSE = {64: (64.0, 7.5), 128: (124.0, 14.5), 256: (257.0, 28.5)}
WORTH_SAYING = 0.05  # of the machine's time
COURSE_RACES = ("alexnet-float32", "alexnet-batch-128", "alexnet-batch-256")


def record(race: Race, outcome: Outcome) -> dict[str, Any]:
    """All that is known about a race, for the JSON file."""
    rows, skipped = judge(race, outcome)
    return {
        "rounds": race.rounds,
        "steps": race.steps,
        "rows": [dataclasses.asdict(row) for row in rows],
        "skipped": skipped,
        "contenders": {t.name: contender(t) for t in (outcome.ours, *outcome.rivals.values())},
        "differences": outcome.differences,
        "heats": outcome.heats,
    }


def judge(race: Race, outcome: Outcome) -> tuple[list[Row], dict[str, str]]:
    rows, skipped = [], {}
    for goal in race.goals:
        try:
            rows.append(goal.judge(outcome))
        except Missing as reason:
            skipped[goal.against] = str(reason)
    return rows, skipped


def contender(timed: Timed) -> dict[str, Any]:
    """Milliseconds of a step, their spread, images a second, and what it said of itself."""
    milliseconds = [1e3 * seconds for seconds in timed.times]
    middle = median(milliseconds)
    return {
        "ms": middle,
        "quartiles_ms": quartiles(milliseconds),
        "best_ms": min(milliseconds),
        "rounds_ms": milliseconds,
        "images": timed.images,
        "images_per_second": 1e3 * timed.images / middle if timed.images else None,
        "facts": timed.facts,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """A race as it is printed."""
    text = [found["title"]]
    if "failed" in found:
        return [*text, f"   FAILED: {found['failed']}"]
    if "declined" in found:
        return [*text, f"   skipped: {found['declined']}"]
    for name, c in found["contenders"].items():
        if "products" not in name:
            text.append(f"   {name:<56}{_time(c)}")
    text += [_row(row) for row in found["rows"]]
    text += [f"   skipped, {name}: {reason}" for name, reason in found["skipped"].items()]
    if found["differences"]:
        name, worst = max(found["differences"].items(), key=lambda pair: pair[1])
        text.append(f"   all compute the same to {worst:.0e} ({name})")
    if (found.get("used by others") or 0) > WORTH_SAYING:
        share = f"{found['used by others']:.0%}"
        text.append(
            f"   other programs used {share} of the machine: measure again when it is quiet"
        )
    return text


def _time(c: dict[str, Any]) -> str:
    low, high = c["quartiles_ms"]
    spread = f"({low:.4g} - {high:.4g})"
    rate = c["images_per_second"]
    return f"{c['ms']:>9.4g} ms {spread:<20}" + (f"{rate:>8.4g} images/s" if rate else "")


def _row(row: dict[str, Any]) -> str:
    value, low, high = row["found"]
    verdict = {None: "", True: "reached", False: "NOT reached"}[row["reached"]]
    spread = f"({low:.2f} - {high:.2f})" if high > low else ""
    what = f"-> {row['measure']} against {row['against']}"
    return f"   {what:<64}{value:>6.2f} {row['unit']:<5}{spread:<19}{row['goal']:<8}{verdict}"


def course(races: list[dict[str, Any]]) -> list[str]:
    """The course's table with ours in a column of its own; nothing where nothing was measured."""
    ours: dict[int, float] = {}
    for found in races:
        for name, c in found.get("contenders", {}).items():
            if name == "minidl" and found["race"] in COURSE_RACES:
                ours[c["images"]] = 20 * c["ms"] / 1e3
    if not ours.keys() & COURSE.keys():
        return []
    text = ["AlexNet, 20 iterations, seconds", "   batch   Caffe, 2 x 10 cores, MKL   minidl here"]
    for size, (seconds, _) in COURSE.items():
        mine = f"{ours[size]:>11.1f}" if size in ours else f"{'-':>11}"
        text.append(f"   {size:>5}{seconds:>27.0f}   {mine}")
    return text


def summary(races: list[dict[str, Any]]) -> str:
    """'12 goals reached, 2 not, 3 races skipped, 1 failed'."""
    rows = [row for found in races for row in found.get("rows", ())]
    reached = sum(row["reached"] is True for row in rows)
    missed = sum(row["reached"] is False for row in rows)
    declined = sum("declined" in found for found in races)
    failed = sum("failed" in found for found in races)
    words = [f"{reached} goals reached", f"{missed} not"]
    words += [f"{declined} races skipped"] * bool(declined) + [f"{failed} FAILED"] * bool(failed)
    return ", ".join(words)
