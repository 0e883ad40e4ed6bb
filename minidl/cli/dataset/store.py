"""Describe stores that are there as a data set: LMDB, LevelDB or HDF5, in place.

    minidl dataset store --train old/train_lmdb --val old/val_lmdb --labels words.txt --out data/old

Nothing is copied, and nothing is written but to --out. HDF5 files, or lists of them, hold the
datasets `data` and `label`.
"""

from __future__ import annotations

import logging
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import Parser
from minidl.cli.dataset import folder, place
from minidl.errors import UsageError

log = logging.getLogger("minidl")
WHERE = "minidl dataset store"
PARTS = {"train": "to learn from", "val": "for validation", "test": "for test"}


def add_arguments(parser: Parser) -> None:
    for part, what in PARTS.items():
        parser.add_argument(f"--{part}", metavar="STORE", help=f"records {what}")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    parser.add_argument("--mean", metavar="FILE", help="the mean image (default: computed)")
    parser.add_argument(
        "--resize",
        type=folder.mode,
        default="squash",
        metavar="MODE",
        help="how the pictures were brought to their size: squash, crop, fill, half_crop",
    )
    parser.add_argument("--out", metavar="DIR", help="where to write the description")
    parser.add_argument("--force", action="store_true", help="replace an existing description")


def run(args: Namespace) -> int:
    from minidl.data import store_dataset

    stores = {part: getattr(args, part) for part in PARTS if getattr(args, part)}
    if "train" not in stores:
        raise UsageError("which store?", where=WHERE, expected="--train STORE")
    if not args.out:
        raise UsageError("where to?", where=WHERE, expected="--out DIR, for the description")
    out = Path(args.out)
    labels = store_dataset.read_names(args.labels) if args.labels else ()
    place.free(out, args.force)
    with place.working(args, out) as watch:
        found = store_dataset.prepare(stores, out, labels, args.mean, watch)
        describe(found, out, args.resize, "image" if args.mean else "pixel")
    print("\n".join(report(found, out)))
    if folder.is_described(out):
        net = folder.suitable(out)
        print(f"train with: minidl train --net {net} --data {shlex.quote(str(out))}")
    return 0


def describe(found: Any, out: Path, mode: str, mean: str) -> None:
    """Write the descriptions of stores.

    Their preprocess.json says the size; and the mean, if a Data layer reads them. Pictures of
    several sizes, or of other than 1 or 3 channels, have none.
    """
    from dataclasses import replace

    from minidl.data import described, picture_form

    for remark in found.warnings:
        if remark.kind != "duplicate":
            log.warning("%s (%s)", remark.text, ", ".join(remark.examples[:1]))
    found = replace(found, resize=mode if found.channels else "")
    if found.channels in (1, 3):
        raw = any(split.backend == "hdf5" for split in found.splits.values())
        folder.describe(
            found, picture_form.resize_param(mode, found.size), "none" if raw else mean, out
        )
    else:
        described.write(out, found)


def report(found: Any, out: Path) -> list[str]:
    """Return lines about what was described."""
    from minidl.data import described

    lines = [
        f"{described.store(out, split)}  {split.records:,} records"
        for split in found.splits.values()
    ]
    color = {1: ", grey", 3: ", colour"}.get(found.channels, "")
    size = f", {found.size[0]} x {found.size[1]}{color}" if found.channels else ""
    lines.append(f"{len(found.labels)} classes{size}")
    lines.append(f"{out / described.NAME}  what the data set is")
    return lines
