"""Get a data set and write it as LMDB, the form that Data layers read."""

from __future__ import annotations

from argparse import Namespace

from minidl.cli import log
from minidl.cli.arguments import Parser


def add_arguments(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="digits, mnist or fashion-mnist")
    parser.add_argument(
        "--from", dest="source", metavar="DIR", help="take the files from a folder, do not download"
    )
    parser.add_argument("--out", metavar="DIR", help="where to write (default: data/NAME)")
    parser.add_argument("--force", action="store_true", help="write again what is there already")


def run(args: Namespace) -> int:
    from minidl.data import datasets

    if not args.name:
        for name, what in datasets.listing().items():
            print(f"{name:<16}{what}")
        return 0
    with log.logging_to(args):
        counts = datasets.prepare(
            args.name,
            source=args.source,
            out=args.out,
            force=args.force,
            progress=log.on_terminal(args),
        )
    for path, count in counts.items():
        print(f"{path}  {count:,} records")
    return 0
