"""Write a weight file in another format: caffemodel, HDF5, npz or safetensors.

IN is recognised by its content, not its name. Values are kept bit for bit, with the net's name and
the layers' names, order and types. Shapes of files of 2014, such as 1 x 1 x 1 x 20 for a
bias, become today's, and every such change is listed.
"""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from minidl.arrays.units import bytes_
from minidl.cli import table
from minidl.cli.arguments import Parser, existing
from minidl.cli.log import logging_to
from minidl.errors import UsageError

FORMATS = ("caffemodel", "hdf5", "npz", "safetensors")
ENDINGS = (".caffemodel", ".h5", ".hdf5", ".npz", ".safetensors")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("source", metavar="IN", help="weights in any of the formats")
    parser.add_argument("target", metavar="OUT", help="where to write them")
    parser.add_argument(
        "--to", choices=FORMATS, help="format of OUT (default: by the ending of its name)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUT if it exists")


def run(args: Namespace) -> int:
    source, target = existing(args.source, "a weight file"), Path(args.target)
    kind = args.to or _format_of(target)
    check_target(source, target, args.force)
    with logging_to(args):
        lines = convert(source, target, kind)
    print("\n".join(lines))
    return 0


def convert(source: Path, target: Path, kind: str) -> list[str]:
    """Write the weights of `source` to `target` in the format `kind`; return lines to print."""
    from minidl.storage import content, legacy, weight_files

    found = weight_files.read(source)
    found.notes += content.drop_repeated(found)
    weights = legacy.modern(found)
    weight_files.write(target, weights, kind)
    lines = [f"{source}: {note}" for note in found.notes]
    lines += [
        f"{name}/{i}: {tuple(old.shape)} becomes {tuple(new.shape)}"
        for name, i, old, new in legacy.reshaped(found, weights)
    ]
    arrays = [array for _, array in content.named(weights)]
    numbers = table.count(sum(array.size for array in arrays))
    lines.append(
        f"{target}: {kind}, {table.plural(len(weights.layers), 'layer')}, "
        f"{table.plural(len(arrays), 'blob')}, {numbers} numbers, {bytes_(target.stat().st_size)}"
    )
    return lines


def check_target(source: Path, target: Path, force: bool) -> None:
    """Refuse to overwrite a file without --force, and to overwrite the source."""
    if not target.exists():
        return
    if os.path.samefile(source, target):
        raise UsageError("is the file that is read", where=str(target), expected="another name")
    if not force:
        raise UsageError("exists already", where=str(target), fix="--force overwrites it")


def _format_of(target: Path) -> str:
    from minidl.storage import weight_files

    if not target.name.lower().endswith(ENDINGS):
        raise UsageError(
            "which format?",
            where=str(target),
            expected=f"a name that ends in {', '.join(ENDINGS)}",
            fix=f"--to {', --to '.join(FORMATS)}",
        )
    return weight_files.format_of(target)
