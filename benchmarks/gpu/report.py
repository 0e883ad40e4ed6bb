"""The report of a run: what passed, what failed and why, figures. Text for people, JSON for all."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

Found = dict[str, Any]
STATUSES = ("passed", "declined", "left out", "failed")
MOST = 12  # reasons of one kind that are listed


def counts(parts: list[Found]) -> Counter[str]:
    """Cases by status."""
    return Counter(case["status"] for part in parts for case in part["cases"])


def lines(part: Found) -> list[str]:
    """A part as text: a line of counts, texts of its cases, failures, what was left out."""
    found = counts([part])
    words = ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status])
    text = [f"== {part['part']}: {part['title']} ({part['seconds']:.0f} s) ==", f"   {words}"]
    if part["starts"] > 1:
        text.append(f"   the device was lost {part['starts'] - 1} times, and taken again")
    for case in part["cases"]:
        if said := case.get("facts", {}).get("text"):
            text += [f"   {line}" for line in said.splitlines()]
    text += _grouped(part, "declined", "declined")
    text += _grouped(part, "left out", "left out")
    known: dict[str, str] = {}  # where a traceback was printed that would come again
    for case in part["cases"]:
        if case["status"] == "failed":
            text += _failure(case, known.setdefault(_last(case), case["name"]))
    return text


def _grouped(part: Found, status: str, word: str) -> list[str]:
    """A line for each reason, with all the cases that it holds for."""
    reasons: dict[str, list[str]] = {}
    for case in part["cases"]:
        if case["status"] == status:
            reason = case.get("facts", {}).get("declined") or case.get("error", "")
            reasons.setdefault(reason, []).append(case["name"])
    text = [
        f"   {word}: {_some(names)}: {reason}" for reason, names in list(reasons.items())[:MOST]
    ]
    if len(reasons) > MOST:
        text.append(f"   {word}: for {len(reasons) - MOST} more reasons, in the JSON file")
    return text


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _failure(case: Found, first: str) -> list[str]:
    """What went wrong; the traceback, where no case before has ended with the same lines."""
    text = [f"   FAILED {case['name']}: {case.get('error', '')}"]
    if first != case["name"]:
        return [*text, f"      as {first}"]
    return text + [f"      {line}" for line in case.get("traceback", "").splitlines()]


def _last(case: Found) -> str:
    """By which tracebacks are alike: where they end; by itself where there is none."""
    lines = case.get("traceback", "").splitlines()
    return "\n".join(lines[-4:]) or case["name"]


def summary(parts: list[Found], seconds: float) -> str:
    """'412 passed, 8 declined, 3 left out, 0 failed; 431 s'."""
    found = counts(parts)
    return ", ".join(f"{found[status]} {status}" for status in STATUSES) + f"; {seconds:.0f} s"


def write(folder: Path, name: str, everything: Found, text: list[str]) -> None:
    """NAME.txt and NAME.json."""
    (folder / f"{name}.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    content = json.dumps(everything, indent=1)
    (folder / f"{name}.json").write_text(content + "\n", encoding="utf-8")


def now() -> str:
    """The date, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
