"""Make a data set of pairs of pictures: what a net sees, and what it should make of it.

    minidl dataset pairs noisy clean --out data/noise
    minidl dataset pairs photos labels --targets classes --out data/streets

A picture in the first folder belongs to the one with the same name in the second one, whatever
their endings: a/1.jpg and a/1.png.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import Parser, whole
from minidl.cli.dataset import folder, place
from minidl.errors import UsageError

log = logging.getLogger("minidl")
WHERE = "minidl dataset pairs"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("inputs", metavar="INPUTS", help="folder of what nets see")
    parser.add_argument("targets_from", metavar="TARGETS", help="folder of what they should make")
    parser.add_argument("--out", metavar="DIR", help="where to write (default: data/INPUTS)")
    parser.add_argument("--force", action="store_true", help="replace an existing data set")
    parser.add_argument(
        "--targets",
        choices=("image", "classes"),
        default="image",
        help="pictures (default), or pictures whose pixels are numbers of classes",
    )
    parser.add_argument("--labels", metavar="FILE", help="of classes: their names, one a line")
    folder.add_form(parser)
    group = parser.add_argument_group("the targets, and who learns from what")
    group.add_argument("--target-gray", action="store_true", help="one channel, for all targets")
    group.add_argument("--target-color", action="store_true", help="three, for all targets")
    group.add_argument(
        "--val", type=folder.share, default=10, metavar="PERCENT", help="for validation (10)"
    )
    group.add_argument(
        "--test", type=folder.share, default=0, metavar="PERCENT", help="for test (0)"
    )
    group.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, metavar="N", help="of the split (0)"
    )


def run(args: Namespace) -> int:
    from minidl.data import pairs_dataset, picture_form

    out = Path(args.out) if args.out else Path("data", Path(args.inputs).resolve().name)
    choices = _choices(args)
    place.free(out, args.force)
    with place.working(args, out) as watch:
        found, left = pairs_dataset.prepare(args.inputs, args.targets_from, out, choices, watch)
        for sentence in left:
            log.warning("left out: %s", sentence)
        for remark in found.warnings:
            if remark.kind in ("alone", "label", "duplicate_across"):
                log.warning("%s (%s)", remark.text, remark.examples[0])
        folder.describe(found, picture_form.resize_param(args.resize, found.size), args.mean, out)
    print("\n".join(report(found, out)))
    return 0


def _choices(args: Namespace) -> Any:
    from minidl.data import pairs_dataset, picture_folder, store_dataset

    classes = args.targets == pairs_dataset.CLASSES
    for flag, unfit in (
        ("target_gray", classes),
        ("target_color", classes),
        ("labels", not classes),
    ):
        if unfit and getattr(args, flag):
            raise UsageError(
                f"--{flag.replace('_', '-')} does not go with --targets {args.targets}", where=WHERE
            )
    if args.target_gray and args.target_color:
        raise UsageError(
            "--target-gray and --target-color are both given", expected="one of them, or neither"
        )
    return pairs_dataset.Choices(
        size=args.size,
        mode=args.resize,
        color=folder.color(args),
        encode=args.encode_type or "",
        targets=args.targets,
        target_color=True if args.target_color else False if args.target_gray else None,
        labels=store_dataset.read_names(args.labels) if args.labels else (),
        percent=picture_folder.percentages(args.val, args.test),
        seed=args.seed,
    )


def report(found: Any, out: Path) -> list[str]:
    """Return lines about what was made."""
    from minidl.data import described

    height, width = found.size
    colors = {1: "grey", 3: "colour"}
    second = colors[found.target_channels]
    if found.targets == "classes":
        second = f"labels of {len(found.labels)} classes"
    lines = []
    for split in found.splits.values():
        what = f"{split.records:,} pair{'s' * (split.records != 1)}"
        lines.append(f"{out / split.store}, {split.target}  {what}")
    return [
        *lines,
        f"{height} x {width}, {colors[found.channels]} to {second}, by {found.resize}",
        f"{out / described.NAME}  what the data set is",
    ]
