"""Compute the mean image of a data set, for transform_param { mean_file }.

The words are those of Caffe's tool:

    minidl compute_image_mean [-backend KIND] DB [FILE]

FILE is a .binaryproto; without it only the means of the channels are printed, for mean_value.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from minidl.cli.arguments import Parser
from minidl.cli.convert_imageset import summary
from minidl.cli.log import logging_to
from minidl.cli.progress import bar

log = logging.getLogger("minidl")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("db", metavar="DB", help="folder of an LMDB or LevelDB of Datums")
    parser.add_argument("out", nargs="?", metavar="FILE", help="the mean image to write")
    parser.add_argument("--backend", metavar="KIND", help="as in Caffe; the contents of DB decide")
    parser.add_argument(
        "--ignore-orientation", action="store_true", help="do not turn pictures as EXIF says"
    )


def run(args: Namespace) -> int:
    from minidl.data import image_mean
    from minidl.data.sources import leveldb
    from minidl.storage import files

    if args.out:
        files.check_target(args.out)
    with logging_to(args):
        store = leveldb.open_store(Path(args.db), upright=not args.ignore_orientation)
        with closing(store), bar(args, total=len(store), desc="adding up", unit="images") as shown:
            mean, report = image_mean.compute(store, shown.update)
        for error in report.unreadable:
            log.warning("left out: %s", str(error).splitlines()[0])
        log.info("Processed %d files.", report.written)
        if args.out:
            log.info("Write to %s", args.out)
            image_mean.write(Path(args.out), mean)
        log.info("Number of channels: %d", len(mean))
    for i, value in enumerate(mean.mean((1, 2), dtype=float)):
        print(f"mean_value channel [{i}]: {value:g}")
    print(summary(args.out or args.db, report, "images"))
    return 0
