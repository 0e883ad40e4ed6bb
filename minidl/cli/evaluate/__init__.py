"""Put a part of a data set, or pictures, before the net of a run, and say how well it answers.

    minidl evaluate RUN --out FOLDER
    minidl evaluate RUN --split test --out FOLDER
    minidl evaluate show FOLDER --truth 3 --predicted 8
    minidl evaluate thumbs FOLDER --indices 3,8,9

The first lines write FOLDER/evaluation.json, predictions.csv with a row for each record, and
confusion.csv. The others show the records behind the figures, with their pictures in --json.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli import engine_flags, jobs
from minidl.cli.arguments import Parser, add_state, whole
from minidl.cli.evaluate import show, thumbs
from minidl.cli.log import logging_to
from minidl.cli.models import use_device
from minidl.cli.progress import bar
from minidl.errors import UsageError

log = logging.getLogger("minidl")
KINDS = {"show": show, "thumbs": thumbs}
FIGURES = ("top1", "top5", "accuracy", "miou", "map", "psnr", "input_psnr", "loss")
PARTS = ("train", "val", "test")


def add_arguments(parser: Parser) -> None:
    parser.kinds.update(KINDS)
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run; or show, or thumbs")
    parser.add_argument("--out", metavar="FOLDER", help="where to write (required)")
    parser.add_argument("--force", action="store_true", help="replace an evaluation in FOLDER")
    parser.add_argument(
        "--snapshot", type=whole(0), metavar="ITER", help="its weights of this iteration (the last)"
    )
    parser.add_argument("--weights", metavar="FILE", help="these weights, in place of RUN's")
    what = parser.add_argument_group("what the net answers to")
    one = what.add_mutually_exclusive_group()
    one.add_argument("--split", choices=PARTS, help="a part of the data set (that of RUN's tests)")
    one.add_argument("--list", metavar="FILE", help="pictures: a path and a class's number a line")
    one.add_argument("--folder", metavar="DIR", help="pictures, in a folder for each class")
    what.add_argument("--data", metavar="FOLDER", help="the data set (RUN's)")
    what.add_argument("--root", metavar="DIR", help="where relative paths in --list start")
    what.add_argument("--count", type=whole(1), metavar="N", help="the first N records only")
    parser.add_argument("--scores", action="store_true", help="write scores.npy, all outputs, too")
    parser.add_argument("--json", action="store_true", help="print evaluation.json")
    add_state(parser)
    engine_flags.add(parser)


def run(args: Namespace) -> int:
    if not args.out:
        place = Path(args.run_folder, "evaluations", args.split or "NAME")
        raise UsageError("where to write?", where="minidl evaluate", fix=f"--out {place}")
    from minidl import evaluation
    from minidl.evaluation.run import refuse_existing, to_json
    from minidl.runs import store

    out = Path(args.out)
    store.find(args.run_folder, args.weights, args.snapshot)  # before a folder is made
    refuse_existing(out, args.force)  # before its status says that a job has failed
    with (
        jobs.running(args, out, {"run": args.run_folder}) as report,
        logging_to(args, out / "evaluate.log"),
        evaluation.opened(args.run_folder, **options(args)) as subject,
        bar(args, total=subject.records, desc="evaluating", unit="pictures") as progress,
    ):
        report.progress(0, subject.records, "pictures", force=True)
        last = 0

        def tick(done: int) -> None:
            nonlocal last
            progress.update(done - last)
            report.progress(done, subject.records, "pictures")
            last = done

        result = evaluation.evaluate(
            subject, out, run=args.run_folder, scores=args.scores, force=args.force, tick=tick
        )
        for sentence in result["left_out"]:
            log.warning("left out: %s", sentence)
        report.progress(last, subject.records, "pictures", force=True)
    print(to_json(result).rstrip() if args.json else "\n".join(lines(result, out)))
    return 0


def options(args: Namespace) -> dict[str, Any]:
    """Return what `evaluation.opened` takes besides the run."""
    from minidl.evaluation import sources

    given: dict[str, Any] = dict(
        snapshot=args.snapshot,
        weights=args.weights,
        split=args.split or "",
        data=args.data or "",
        count=args.count,
        level=args.level,
        stages=args.stage,
        device=use_device(args),
        **engine_flags.options(args),
    )
    if args.list:
        given |= {"pictures": sources.listed(args.list, args.root or ""), "called": "list"}
    elif args.folder:
        given |= {"pictures": sources.in_folder(args.folder), "called": "folder"}
    return given


def lines(result: dict[str, Any], out: Path) -> list[str]:
    """Return the figures of an evaluation for a terminal."""
    found = []
    for name in FIGURES:
        if result.get(name) is not None:
            found.append(f"{name:<10} {result[name]:.6g}")
    found.append(f"records    {result['records']:,}, {result['rate'] or 0:,.0f} a second")
    return [*found, str(out / "evaluation.json"), str(out / "predictions.csv")]
