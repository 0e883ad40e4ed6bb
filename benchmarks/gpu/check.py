"""Everything on a GPU, checked and timed: `make gpu-check`, or `python benchmarks/gpu/check.py`.

Prints as it goes; writes gpu-check.txt and gpu-check.json, and a log and the raw results of every
part. Status 1 if anything failed; goals that are missed are no failure.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/gpu: its modules are those of a package

from benchmarks.gpu import plan, report  # noqa: E402
from benchmarks.gpu.conduct import run_part  # noqa: E402

LEAST = 5.0  # seconds without which a part is not begun


def main(words: list[str] | None = None) -> int:
    return conduct("gpu-check", (*plan.CHECK, *plan.BENCH), words, __doc__)


def conduct(
    name: str, parts: tuple[plan.Part, ...], words: list[str] | None, doc: str | None
) -> int:
    """Run these parts within the time that the command line allows, and write the report."""
    args = _arguments(parts, words, doc)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    text = [f"minidl, {name}, {report.now()}" + ("; TINY: no figure means a thing" * args.tiny)]
    print(text[0], flush=True)
    found: list[dict[str, Any]] = []
    lost = ""
    for part in chosen(parts, args.only):
        left = 60 * args.minutes - (time.perf_counter() - began)
        seconds = min(part.seconds, left - plan.GRACE / 2)
        if lost or seconds < LEAST:
            found.append(_not_begun(part, lost or "the time of the run was over"))
        else:
            grace = min(plan.GRACE, left - seconds)
            found.append(run_part(part, args.out, seconds, args.tiny, grace))
            lost = _without_device(found[-1])
        said = report.lines(found[-1])
        print("\n".join(said), flush=True)
        text += said
        everything = {"run": name, "date": text[0], "tiny": args.tiny, "parts": found}
        report.write(args.out, name, everything, text)  # as far as it is: a run may be cut short
    text.append(report.summary(found, time.perf_counter() - began))
    print(f"{text[-1]}; the report is {args.out / name}.txt and .json", flush=True)
    report.write(args.out, name, everything, text)
    return int(report.counts(found)["failed"] > 0)


def _without_device(part: dict[str, Any]) -> str:
    """Why nothing else needs to be tried, where the first part found no device."""
    if part["part"] != plan.CHECK[0].name or part["cases"][0]["status"] == "passed":
        return ""
    return "there is no GPU that answers"


def _not_begun(part: plan.Part, why: str) -> dict[str, Any]:
    case = {"name": part.name, "status": "left out", "error": why}
    return {
        "part": part.name,
        "title": part.title,
        "seconds": 0.0,
        "starts": 0,
        "cases": [case],
    }


def chosen(parts: tuple[plan.Part, ...], only: list[str] | None) -> list[plan.Part]:
    """Those whose names begin with one of these words; all without."""
    return [part for part in parts if not only or part.name.startswith(tuple(only))]


def _arguments(
    parts: tuple[plan.Part, ...], words: list[str] | None, doc: str | None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("runs/gpu"), metavar="DIR", help="(%(default)s)"
    )
    parser.add_argument(
        "--only", action="append", metavar="PART", help="this part, or those whose names begin so"
    )
    parser.add_argument(
        "--minutes", type=float, default=9.5, metavar="N", help="for all of it (%(default)s)"
    )
    parser.add_argument("--tiny", action="store_true", help="next to nothing: see that it runs")
    args = parser.parse_args(words)
    if not chosen(parts, args.only):
        parser.error(f"there is no such part; there are {', '.join(part.name for part in parts)}")
    return args


if __name__ == "__main__":
    sys.exit(main())
