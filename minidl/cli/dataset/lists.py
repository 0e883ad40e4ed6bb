"""Make a data set of the pictures that text files list, as LMDB, the format of Data layers.

    minidl dataset lists --train t.txt --val v.txt --labels names.txt --root pictures --out data/x

A line is a path and the number of a class, from 0 on: cats/tom.jpg 3
"""

from __future__ import annotations

import logging
import shlex
from argparse import Namespace
from pathlib import Path

from minidl.cli.arguments import Parser, whole
from minidl.cli.dataset import folder, place, store
from minidl.errors import UsageError

log = logging.getLogger("minidl")
WHERE = "minidl dataset lists"


def add_arguments(parser: Parser) -> None:
    for part, what in zip(
        store.PARTS, ("to learn from", "for validation", "for test"), strict=True
    ):
        parser.add_argument(f"--{part}", metavar="LIST", help=f"pictures {what}")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    parser.add_argument("--root", metavar="DIR", help="where relative paths begin")
    parser.add_argument("--out", metavar="DIR", help="where to write")
    parser.add_argument("--force", action="store_true", help="replace an existing data set")
    folder.add_form(parser)
    parser.add_argument("--in-order", action="store_true", help="as listed, not mixed")
    parser.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, metavar="N", help="of the mixing (0)"
    )


def run(args: Namespace) -> int:
    from minidl.data import lists_dataset, picture_form, store_dataset

    lists = {part: getattr(args, part) for part in store.PARTS if getattr(args, part)}
    if "train" not in lists:
        raise UsageError("which list?", where=WHERE, expected="--train LIST")
    if not args.out:
        raise UsageError("where to?", where=WHERE, expected="--out DIR")
    out = Path(args.out)
    choices = lists_dataset.Choices(
        size=args.size,
        mode=args.resize,
        color=folder.color(args),
        encode=args.encode_type or "",
        root=args.root or "",
        labels=store_dataset.read_names(args.labels) if args.labels else (),
        shuffle=not args.in_order,
        seed=args.seed,
    )
    place.free(out, args.force)
    with place.working(args, out) as watch:
        found, unreadable = lists_dataset.prepare(lists, out, choices, watch)
        for sentence in unreadable:
            log.warning("left out: %s", sentence)
        folder.warn_of_copies(found)
        folder.describe(found, picture_form.resize_param(args.resize, found.size), args.mean, out)
    print("\n".join(store.report(found, out)))
    net = folder.suitable(out)
    print(f"train with: minidl train --net {net} --data {shlex.quote(str(out))}")
    return 0
