"""Get a data set, or make one from folders of pictures, as LMDB, the format of Data layers.

    minidl dataset mnist
    minidl dataset folder PICTURES

PICTURES has a folder for each class; its pictures may be at any depth in it.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from minidl.cli import log
from minidl.cli.arguments import Parser
from minidl.cli.dataset import browse, folder, lists, pairs, place, preview, scan, store
from minidl.errors import UsageError

KINDS = {
    "folder": folder,
    "lists": lists,
    "store": store,
    "pairs": pairs,
    "scan": scan,
    "preview": preview,
    "browse": browse,
}
LISTED = {
    "folder PICTURES": "your own pictures, a folder for each class",
    "lists --train L": "pictures that text files list, with their classes",
    "store --train S": "stores that are there, in place: LMDB, LevelDB, HDF5",
    "pairs A B": "pictures of two folders, matched by their names",
    "scan PICTURES": "what is in such a folder",
    "preview PICTURE": "a picture as a data set would hold it",
    "browse DATA": "records of a data set, a page at a time",
}


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help=f"digits, mnist, fashion-mnist; {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--from", dest="source", metavar="DIR", help="take the files from a folder, do not download"
    )
    parser.add_argument("--out", metavar="DIR", help="where to write (default: data/NAME)")
    parser.add_argument("--force", action="store_true", help="replace an existing data set")
    parser.kinds.update(KINDS)


def run(args: Namespace) -> int:
    from minidl.data import datasets

    if not args.name:
        for name, what in {**datasets.listing(), **LISTED}.items():
            print(f"{name:<16}{what}")
        return 0
    if Path(args.name).is_dir() and args.name not in datasets.listing():
        raise UsageError(
            f"there is no data set '{args.name}'", fix=f"minidl dataset folder {args.name}"
        )
    counts = _prepared(args, Path(args.out) if args.out else Path("data", args.name))
    for path, count in counts.items():
        print(f"{path}  {count:,} records")
    return 0


def _prepared(args: Namespace, out: Path) -> dict[str, int]:
    """Get a data set with a name; describe it, unless nothing of it is new."""
    from minidl.data import datasets, described, set_files, store_dataset

    datasets.check(args.name, args.source)
    stores = {part: out / set_files.STORES[part] for part in datasets.PARTS}
    with place.working(args, out) as watch:
        if args.force or not all(path.exists() for path in stores.values()):
            set_files.begin(out)
        counts = datasets.prepare(
            args.name,
            source=args.source,
            out=out,
            force=args.force,
            progress=log.on_terminal(args),
        )
        if not described.is_one(out):
            labels = datasets.labels(args.name)
            store.describe(
                store_dataset.prepare(stores, out, labels, watch=watch), out, "squash", "pixel"
            )
    return counts
