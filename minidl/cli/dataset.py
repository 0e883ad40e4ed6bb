"""Get a data set, or make one from folders of pictures, as LMDB, the format of Data layers.

    minidl dataset mnist
    minidl dataset folder PICTURES

PICTURES has a folder for each class; its pictures may be at any depth in it.
"""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from minidl.cli import folder, log
from minidl.cli.arguments import Parser
from minidl.errors import UsageError


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="digits, mnist, fashion-mnist, folder"
    )
    parser.add_argument("pictures", nargs="?", metavar="PICTURES", help="for dataset folder")
    parser.add_argument(
        "--from", dest="source", metavar="DIR", help="take the files from a folder, do not download"
    )
    parser.add_argument("--out", metavar="DIR", help="where to write (default: data/NAME)")
    parser.add_argument("--force", action="store_true", help="replace an existing data set")
    folder.add_arguments(parser)


def run(args: Namespace) -> int:
    from minidl.data import datasets

    if not args.name:
        for name, what in datasets.listing().items():
            print(f"{name:<16}{what}")
        print(f"{'folder PICTURES':<16}your own pictures, a folder for each class")
        return 0
    if args.name == "folder":
        return _folder(args)
    if args.pictures is not None:
        raise UsageError(f"has an unexpected argument '{args.pictures}'", where="minidl dataset")
    if Path(args.name).is_dir() and args.name not in datasets.listing():
        raise UsageError(
            f"there is no data set '{args.name}'", fix=f"minidl dataset folder {args.name}"
        )
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


def _folder(args: Namespace) -> int:
    from minidl.preprocess import NAME

    if args.pictures is None:
        raise UsageError(
            "which folder?",
            where="minidl dataset folder",
            expected="minidl dataset folder PICTURES",
        )
    if args.source is not None:
        raise UsageError("--from is only for data sets with a name", where="minidl dataset folder")
    source = Path(args.pictures)
    out = Path(args.out) if args.out else Path("data", source.resolve().name)
    if (out / NAME).exists() and not args.force:
        raise UsageError(
            "holds a data set already", where=str(out), fix="--out DIR, or --force to replace it"
        )
    with log.logging_to(args):
        lines = folder.make(source, out, folder.choices(args), args.mean, args)
    print("\n".join(lines))
    print(f"train with: minidl train --net {folder.suitable(out)} --data {shlex.quote(str(out))}")
    return 0
