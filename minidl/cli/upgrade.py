"""Write a net or a solver of 2013 or 2014 in today's form.

IN is a prototxt with `layers` (V1) or `layers { layer }` (V0), with `input_dim`, with the transform
fields of old data layers, or a solver with `solver_type`; or a caffemodel of that time, whose blobs
are kept as they are. Every change is listed. Comments of a prototxt are not kept.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from minidl.cli import models
from minidl.cli.arguments import Parser, existing
from minidl.cli.convert import check_target
from minidl.cli.log import logging_to
from minidl.errors import FormatError


def add_arguments(parser: Parser) -> None:
    parser.add_argument("source", metavar="IN", help="prototxt of a net or solver, or a caffemodel")
    parser.add_argument("target", metavar="OUT", help="where to write it")
    parser.add_argument("--force", action="store_true", help="overwrite OUT if it exists")


def run(args: Namespace) -> int:
    source = existing(args.source, "a prototxt or a caffemodel")
    target = Path(args.target)
    check_target(source, target, args.force)
    with logging_to(args):
        notes = upgrade(source, target)
    print("\n".join([*notes, f"{target}: written"] if notes else [f"{target}: nothing was old"]))
    return 0


def upgrade(source: Path, target: Path) -> list[str]:
    """Write the contents of `source` in today's form; return a sentence for each change."""
    from minidl import prototxt
    from minidl.storage import files, sniff

    if sniff.message(files.head(source, "net")) == sniff.CAFFEMODEL:
        return _upgrade_weights(source, target)
    notes: list[str] = []
    read = prototxt.read_solver if models.is_solver(str(source)) else prototxt.read_net
    text = prototxt.to_text(read(source, notes))
    files.write_all(target, [text.encode("utf-8", "surrogateescape")])
    return notes


def _upgrade_weights(source: Path, target: Path) -> list[str]:
    from minidl import prototxt, schema
    from minidl.storage import caffemodel, files

    caffemodel.read(source)  # reports what is wrong with the file, and where
    try:
        net = schema.NetParameter.FromString(files.read(source, "weights").tobytes())
    except Exception as error:  # protobuf's DecodeError is another class in every release
        raise FormatError(f"is not a complete caffemodel: {error}", where=str(source)) from None
    upgraded, notes = prototxt.upgrade_net(net)
    prototxt.clear_origins(upgraded)
    files.write_all(target, [upgraded.SerializeToString()])
    return [f"{source}: {note}" for note in notes]
