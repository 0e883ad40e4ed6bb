"""`minidl show --out FOLDER`: what a net holds and makes of a picture, as layers.json and PNGs."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidl.cli import jobs, models, pictures
from minidl.cli.log import logging_to
from minidl.cli.progress import bar
from minidl.errors import UsageError

LAYERS = "layers.json"  # minidl.evaluation.inside's, which loads NumPy


def is_meant(out: str) -> bool:
    """Return whether --out names a folder: one that is there, or a name without an ending."""
    return out.endswith(("/", os.sep)) or Path(out).is_dir() or not Path(out).suffix


def run(args: Namespace, without_picture: Callable[[Namespace], Any]) -> int:
    """Write the folder.

    without_picture   opens a net that nothing goes through
    """
    from minidl.evaluation.run import to_json

    folder = Path(args.out)
    _check(folder, args.force)
    pictures.files(args)  # before a folder is made
    needs = {"run": args.run_folder} if args.run_folder else {}
    with (
        jobs.running(args, folder, needs) as report,
        logging_to(args, folder / "show.log"),
        opened(args) if args.picture else without_picture(args) as net,
        bar(args, total=len(net.blueprint.nodes), desc="looking", unit="layers") as progress,
    ):
        models.refuse_unknown_layers(args.layers, net.layer_dict, "--layers")
        result = _look(net, folder, args, report, progress)
    drawn = sum(a["picture"] is not None for x in result["layers"] for a in x["arrays"])
    if args.json:
        print(to_json(result).rstrip())
        return 0
    for label, score in result["top"]:
        print(f"{score:.4f}  {label}")
    print(f"{folder / LAYERS}  {len(result['layers'])} layers, {drawn} pictures")
    return 0


def _check(folder: Path, force: bool) -> None:
    """Refuse a folder with anything but what a page has put there for this job."""
    if force or not folder.is_dir():
        return
    if (folder / LAYERS).exists():
        raise UsageError(
            f"holds {LAYERS} already", where=str(folder), fix="--out with another, or --force"
        )
    if any(folder.iterdir()) and not (folder / "job.json").exists():
        raise UsageError("is not empty", where=str(folder), fix="--out with another, or --force")


def opened(args: Namespace) -> Any:
    """Return the net with its weights, which takes pictures."""
    from minidl.evaluation.inside import Inside

    return pictures.opened(Inside, args)


def _look(net: Any, folder: Path, args: Namespace, report: Any, progress: Any) -> dict[str, Any]:
    from minidl.evaluation import inside

    prepare = getattr(net, "preprocess", None)

    def tick(done: int, total: int) -> None:
        progress.update(1)
        report.progress(done, total, "layers", force=done == total)

    return inside.look(
        net,
        folder,
        picture=args.picture,
        labels=prepare.labels if args.picture and prepare is not None else (),
        layers=args.layers,
        tick=tick,
    )
