"""Write the images that a text file lists as an LMDB of Datums.

The words and flags are those of Caffe's tool:

    minidl convert_imageset [flags] ROOTFOLDER/ LISTFILE DB

A line of LISTFILE is a path and a label; ROOTFOLDER, with its slash, precedes the path. Images
that cannot be read are left out and reported.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import Parser, seed, whole
from minidl.cli.log import logging_to
from minidl.cli.progress import bar
from minidl.errors import UsageError

log = logging.getLogger("minidl")
WHERE = "minidl convert_imageset"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("root", metavar="ROOTFOLDER", help="put in front of every path, unchanged")
    parser.add_argument("list", metavar="LISTFILE", help="text file: a path and a label per line")
    parser.add_argument("out", metavar="DB", help="folder to write")
    parser.add_argument("--gray", action="store_true", help="one channel, not three")
    parser.add_argument("--shuffle", action="store_true", help="write in a random order")
    parser.add_argument("--seed", type=seed, metavar="N", help="of --shuffle")
    parser.add_argument("--backend", default="lmdb", metavar="KIND", help="lmdb")
    side = dict(type=whole(0), default=0, metavar="N")
    parser.add_argument("--resize-height", help="stretch: rows", **side)  # type: ignore[arg-type]
    parser.add_argument("--resize-width", help="stretch: columns", **side)  # type: ignore[arg-type]
    parser.add_argument("--check-size", action="store_true", help="refuse images of other sizes")
    parser.add_argument("--encoded", action="store_true", help="store image files, not pixels")
    parser.add_argument("--encode-type", default="", metavar="KIND", help="of them: jpg, png, ...")
    parser.add_argument(
        "--ignore-orientation", action="store_true", help="do not turn pictures as EXIF says"
    )
    parser.add_argument("--labels", metavar="DB", help="several or real labels: a store for them")
    parser.add_argument("--force", action="store_true", help="replace an existing DB")


def run(args: Namespace) -> int:
    from minidl.arrays.threads import threads
    from minidl.data import imageset
    from minidl.data.sources.image_list import ImageList

    form = _form(args)
    _check_out(args)
    with logging_to(args):
        images = ImageList(Path(args.list), args.root, color=form.color)
        log.info("A total of %d images.", len(images))
        with bar(args, total=len(images), desc="converting", unit="images") as progress:
            report = imageset.convert(
                images,
                Path(args.out),
                form,
                _order(len(images), args),
                labels_folder=Path(args.labels) if args.labels else None,
                check_size=args.check_size,
                workers=threads(),
                tick=progress.update,
            )
        for error in report.unreadable:
            log.warning("left out: %s", str(error).splitlines()[0])
        log.info("Processed %d files.", report.written)
    print(summary(args.out, report, "images"))
    return 0


def summary(path: str, report: Any, what: str) -> str:
    """Return a line that says what was written where, and what was left out."""
    text = f"{path}  {report.written:,} {what}"
    if report.unreadable:
        text += f"; {len(report.unreadable):,} could not be read and were left out (see the log)"
    return text


def _form(args: Namespace) -> Any:
    from minidl.data import imageset
    from minidl.data.resize import stretch

    if args.backend.lower() != "lmdb":
        raise UsageError(
            f"cannot write the kind '{args.backend}'",
            where=WHERE,
            expected="-backend lmdb",
            fix="Data layers read LMDB and LevelDB alike",
        )
    if bool(args.resize_height) != bool(args.resize_width):
        raise UsageError(
            f"resize_height is {args.resize_height} and resize_width {args.resize_width}",
            where=WHERE,
            expected="both, or neither",
        )
    kind = args.encode_type.lower().lstrip(".")
    if kind and kind not in imageset.FORMATS:
        raise UsageError(
            f"cannot encode as '{args.encode_type}'",
            where=WHERE,
            expected=", ".join(imageset.FORMATS),
        )
    height, width = args.resize_height, args.resize_width
    resize = (lambda image: stretch(image, height, width)) if height else None
    upright = not args.ignore_orientation
    return imageset.Form(resize, not args.gray, args.encoded or bool(kind), kind, upright)


def _check_out(args: Namespace) -> None:
    """Refuse folders that exist, unless they may be replaced."""
    for path in filter(None, (args.out, args.labels)):
        if Path(path).exists() and not args.force:
            raise UsageError(
                "exists already", where=path, fix="write somewhere else, or give --force"
            )


def _order(count: int, args: Namespace) -> Any:
    if not args.shuffle:
        return range(count)
    from minidl.arrays.rng import Streams, default_seed
    from minidl.data.sampler import shuffling

    log.info("Shuffling data")
    streams = Streams(default_seed() if args.seed is None else args.seed)
    return shuffling(streams, (count,))(0).tolist()
