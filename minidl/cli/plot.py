"""Draw loss, test figures and learning rate of one or more training runs.

A run is its folder, its events.jsonl, or a log of Caffe or minidl. If a run was started again or
resumed from a snapshot in the same file, the later numbers count.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minidl.cli import figure
from minidl.cli.arguments import Parser, existing_run
from minidl.errors import UsageError
from minidl.runs import store
from minidl.runs.record import Record, Row

COLOURS = ("#3d74b0", "#bd7431", "#4d8c46", "#b3474d", "#7d58a8", "#6b7a80", "#a78f28")
Points = list[tuple[float, float]]


class Curve(NamedTuple):
    """One curve. `tested`: its points are few, and marked."""

    run: int
    label: str
    points: Points
    tested: bool


def add_arguments(parser: Parser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN", help="folders, events.jsonl or logs")
    parser.add_argument("--out", "-o", metavar="FILE", help="FILE.svg, .png or .pdf (required)")
    parser.add_argument(
        "--over",
        choices=("iterations", "seconds"),
        default="iterations",
        help="the horizontal axis (default: iterations)",
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="above the picture")


def run(args: Namespace) -> int:
    if not args.runs:
        raise UsageError("no run given", where="minidl plot", expected="minidl plot RUN -o run.svg")
    figure.check(args.out, "minidl plot -o")
    records = [store.record(existing_run(path)) for path in args.runs]
    found = panels(records, labels(args.runs), args.over)
    _draw(found, args)
    print(f"{args.out}  {', '.join(found)}")
    return 0


def labels(paths: Sequence[str]) -> list[str]:
    """Return a short name for each run: of its folder or log, the whole path if two are alike."""
    short = []
    for path in paths:
        file = Path(path)
        short.append(file.resolve().parent.name if file.name == store.EVENTS else file.stem)
    return [s if short.count(s) == 1 else path for s, path in zip(short, paths, strict=True)]


def panels(records: Sequence[Record], names: Sequence[str], x: str) -> dict[str, list[Curve]]:
    """Return curves by panel: loss; accuracy, for all figures from 0 to 1; every other
    output on its own; learning rate."""
    found: dict[str, list[Curve]] = {"loss": [], "accuracy": []}
    rates = []
    for i, (record, name) in enumerate(zip(records, names, strict=True)):
        prefix = f"{name}: " if len(records) > 1 else ""

        def points(triples: Iterable[tuple[int, float, float]]) -> Points:
            return [(float(n if x == "iterations" else s), v) for n, s, v in latest(triples)]

        found["loss"].append(Curve(i, f"{prefix}training", points(record.loss), False))
        for which, rows in [("training", record.train), *_tests(record)]:
            for output in dict.fromkeys(o for row in rows for o in row.outputs):
                is_loss = output.partition("[")[0] in record.losses
                if is_loss and which == "training":
                    continue  # the smoothed loss is already shown
                curve = points(
                    (r.iteration, r.seconds, r.outputs[output]) for r in rows if output in r.outputs
                )
                shares = all(0 <= value <= 1 for _, value in curve if not math.isnan(value))
                panel = "loss" if is_loss else "accuracy" if shares else output
                label = f"{prefix}{which} {output}"
                found.setdefault(panel, []).append(Curve(i, label, curve, which != "training"))
        rates.append(Curve(i, f"{prefix}rate", points(record.rates), False))
    found["learning rate"] = rates
    kept = {panel: [c for c in curves if c.points] for panel, curves in found.items()}
    return {panel: curves for panel, curves in kept.items() if curves}


def latest(triples: Iterable[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """Return the points without those from an iteration on if a later run started there again."""
    kept: list[tuple[int, float, float]] = []
    for triple in triples:
        while kept and kept[-1][0] >= triple[0]:
            kept.pop()
        kept.append(triple)
    return kept


def _tests(record: Record) -> list[tuple[str, list[Row]]]:
    several = len(record.tests) > 1
    return [(f"test #{n}" if several else "test", rows) for n, rows in sorted(record.tests.items())]


def _draw(found: dict[str, list[Curve]], args: Namespace) -> None:
    size = 7.5, 0.5 + 2.4 * len(found)
    with figure.drawing(args.out, "minidl plot", size, font=9, dpi=130) as page:
        axes = page.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (name, curves) in zip(axes, found.items(), strict=True):
            _panel(panel, name, curves, len(args.runs))
        axes[-1].set_xlabel(args.over)
        if args.title:
            page.suptitle(args.title.encode("utf-8", "replace").decode())


def _panel(axes: Any, name: str, curves: Sequence[Curve], runs: int) -> None:
    """Draw one panel; with several runs a run has one colour, otherwise a curve has."""
    for i, curve in enumerate(curves):
        colour = COLOURS[(curve.run if runs > 1 else i) % len(COLOURS)]
        xs, ys = zip(*curve.points, strict=True)
        marker = "o" if curve.tested or len(xs) == 1 else ""
        style = "--" if curve.tested and runs > 1 else "-"
        axes.plot(xs, ys, style, label=curve.label, color=colour, marker=marker, ms=3, lw=1.2)
    axes.set_ylabel(name)
    axes.grid(True, color="#dddddd", lw=0.6)
    axes.margins(x=0.02)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    values = [v for curve in curves for _, v in curve.points if math.isfinite(v)]
    if name in ("loss", "learning rate") and values and min(values) > 0:
        if max(values) > 20 * min(values):
            axes.set_yscale("log")
    if len(curves) > 1 or name != "learning rate":
        axes.legend(frameon=False, fontsize=8)
