"""Make a data set from a folder of pictures, as LMDB, the format of Data layers.

    minidl dataset folder PICTURES

PICTURES has a folder for each class; its pictures may be at any depth in it.
"""

from __future__ import annotations

import argparse
import logging
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import Parser, seed, whole, wholes
from minidl.cli.dataset import place
from minidl.cli.progress import bar
from minidl.cli.table import plural
from minidl.errors import UsageError

log = logging.getLogger("minidl")
MODES = ("squash", "crop", "fill", "half_crop")
LARGE = 227  # side of the pictures that nets of ImageNet take
SHOWN = 12  # classes that are printed by name


def add_arguments(parser: Parser) -> None:
    parser.add_argument("pictures", nargs="?", metavar="PICTURES", help="has a folder a class")
    parser.add_argument("--out", metavar="DIR", help="where to write (default: data/PICTURES)")
    parser.add_argument("--force", action="store_true", help="replace an existing data set")
    add_form(parser)
    group = parser.add_argument_group("who learns from what")
    percent = dict(type=share, metavar="PERCENT")
    group.add_argument("--val", default=25, help="for validation (default: 25)", **percent)  # type: ignore[arg-type]
    group.add_argument("--test", default=0, help="for test (default: 0)", **percent)  # type: ignore[arg-type]
    group.add_argument(
        "--min", type=whole(1), default=2, metavar="N", help="leave out smaller classes (2)"
    )
    group.add_argument("--max", type=whole(1), metavar="N", help="pictures to use of a class")
    for part, what in (("val", "validation"), ("test", "test")):
        group.add_argument(
            f"--{part}-from", metavar="DIR", help=f"the pictures for {what}, a folder a class"
        )
        group.add_argument(
            f"--{part}-min", type=whole(1), metavar="N", help="leave out smaller classes there (1)"
        )
        group.add_argument(
            f"--{part}-max", type=whole(1), metavar="N", help="pictures to use of a class there"
        )
    group.add_argument("--seed", type=seed, default=0, metavar="N", help="of the split (0)")


def add_form(parser: Parser) -> None:
    """Add the flags about the form in which pictures are stored."""
    group = parser.add_argument_group("the pictures")
    group.add_argument(
        "--size",
        type=size,
        metavar="N",
        help="side of the pictures, or H,W (default: their own if all have one size, else 256)",
    )
    add_resize(group)
    group.add_argument(
        "--mean",
        choices=("pixel", "image", "none"),
        default="pixel",
        help="what nets subtract: a number per channel (default), the mean image, or nothing",
    )


def add_resize(group: Any) -> None:
    """Add the flags that a preview shares."""
    group.add_argument(
        "--resize",
        type=mode,
        default="squash",
        metavar="MODE",
        help="squash; or keep the proportions and crop, fill with noise, or half_crop: both",
    )
    group.add_argument("--gray", action="store_true", help="one channel, for all pictures")
    group.add_argument("--color", action="store_true", help="three channels, for all pictures")
    group.add_argument("--encode-type", choices=("png", "jpg"), help="store files, not pixels")


def run(args: Namespace) -> int:
    if args.pictures is None:
        raise UsageError(
            "which folder?",
            where="minidl dataset folder",
            expected="minidl dataset folder PICTURES",
        )
    source = Path(args.pictures)
    out = Path(args.out) if args.out else Path("data", source.resolve().name)
    wanted = choices(args)
    place.free(out, args.force)
    with place.working(args, out) as watch:
        lines = _made(source, out, wanted, args.mean, watch, own=True)
    print("\n".join(lines))
    print(f"train with: minidl train --net {suitable(out)} --data {shlex.quote(str(out))}")
    return 0


def choices(args: Namespace) -> Any:
    """Return how to make the data set, from the flags."""
    from minidl.data import folder_dataset, picture_folder

    other, bounds = {}, {}
    for part in ("val", "test"):
        folder, least, most = (getattr(args, f"{part}_{name}") for name in ("from", "min", "max"))
        if folder is None and (least or most):
            name = "min" if least else "max"
            raise UsageError(f"--{part}-{name} needs --{part}-from", where="minidl dataset folder")
        if folder is not None:
            other[part], bounds[part] = folder, (least or 1, most)
    return folder_dataset.Choices(
        size=args.size,
        mode=args.resize,
        color=color(args),
        percent=picture_folder.percentages(
            *(0 if part in other else getattr(args, part) for part in ("val", "test"))
        ),
        least=args.min,
        most=args.max,
        seed=args.seed,
        encode=args.encode_type or "",
        other=other,
        bounds=bounds,
    )


def color(args: Namespace) -> bool | None:
    """Return whether there are to be three channels; None: as the pictures have."""
    if args.gray and args.color:
        raise UsageError("--gray and --color are both given", expected="one of them, or neither")
    return True if args.color else False if args.gray else None


def make(folder: Path, out: Path, choices: Any, mean: str, args: Namespace) -> list[str]:
    """Write the data set with its descriptions; return the lines to print.

    mean   "pixel", "image" or "none"
    args   for the log and the progress bar
    """
    with bar(args, desc="reading", unit="files") as progress:
        return _made(folder, out, choices, mean, lambda *_: progress.update())


def _made(
    folder: Path, out: Path, choices: Any, mean: str, watch: Any, own: bool = False
) -> list[str]:
    from minidl.data import folder_dataset

    made = folder_dataset.prepare(folder, out, choices, watch, own)
    for sentence in made.unreadable:
        log.warning("left out: %s", sentence)
    for name, count in made.few.items():
        log.warning("left out: class '%s', which has %d picture%s", name, count, "s"[: count != 1])
    warn_of_copies(made.found)
    describe(made.found, made.resize, mean, out)
    return report(made, out)


def warn_of_copies(found: Any) -> None:
    """Warn of pictures that are in two parts of a data set."""
    for remark in found.warnings:
        if remark.kind == "duplicate_across":
            log.warning("%s (%s)", remark.text, remark.examples[0])


def describe(found: Any, resize: Any, mean: str, out: Path) -> None:
    """Write preprocess.json and dataset.json, the last files: with these a data set is complete.

    mean   "pixel", "image" or "none"
    """
    from minidl import preprocess, schema
    from minidl.data import described, set_files

    transform = schema.TransformationParameter(resize=resize)
    if mean == "pixel":
        transform.mean_value.extend(found.mean)
    elif mean == "image":
        transform.mean_file = str(out / set_files.MEAN)
    channels = "gray" if found.channels == 1 else "BGR"
    preprocess.Preprocess(transform, channels, found.labels).write(out / preprocess.NAME)
    described.write(out, found)


def report(made: Any, out: Path) -> list[str]:
    """Return lines about what was made, and what was left out."""
    from minidl import preprocess
    from minidl.data import set_files

    lines = [
        f"{out / set_files.STORES[part]}  {count:,} pictures" for part, count in made.counts.items()
    ]
    shown = [f"{name} ({count:,})" for name, count in made.by_class.items()]
    more = ", ..." if len(shown) > SHOWN else ""
    lines.append(f"{len(shown)} classes: {', '.join(shown[:SHOWN])}{more}")
    color = "grey" if len(made.means) == 1 else "colour"
    height, width = made.found.size
    lines.append(f"{height} x {width}, {color}, by {made.found.resize}")
    if made.unreadable:
        lines.append(f"{plural(len(made.unreadable), 'file')} left out that could not be read")
    if made.few:
        lines.append(f"left out, as they have too few pictures: {', '.join(made.few)}")
    if made.others:
        kinds = ", ".join(f"{end} ({count})" for end, count in sorted(made.others.items())[:SHOWN])
        lines.append(f"skipped, not pictures by their names: {kinds}")
    lines.append(f"{out / preprocess.NAME}  what nets do to a picture")
    return lines


def is_described(data: Path) -> bool:
    """Return whether it is known what nets do to the pictures of a data set."""
    from minidl import preprocess

    return (data / preprocess.NAME).is_file()


def suitable(data: Path) -> str:
    """Return a net of the zoo for pictures of this size."""
    from minidl import preprocess

    resize = preprocess.read(data / preprocess.NAME).transform.resize
    return "squeezenet" if min(resize.height, resize.width) >= LARGE else "lenet"


def size(text: str) -> tuple[int, int]:
    """Argument type: a side, or height and width."""
    sides = wholes("a size such as 256 or 240,320", 1, 2)(text)
    return sides[0], sides[-1]


def mode(text: str) -> str:
    """Argument type: one of MODES, with either dash."""
    name = text.replace("-", "_").lower()
    if name not in MODES:
        raise argparse.ArgumentTypeError(f"'{text}' is not one of {', '.join(MODES)}")
    return name


def share(text: str) -> float:
    """Argument type: a percentage."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"'{text}' is not a percentage below 100")
    return value
