"""Show the records behind the figures of an evaluation.

minidl evaluate show FOLDER --truth 3 --predicted 8 --sort confident
minidl evaluate show FOLDER --worst 20
minidl evaluate show FOLDER --best-per-class 9 --json
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from minidl.cli import as_json, table
from minidl.cli.arguments import Parser, names, whole

SORTS = ("index", "confident", "unsure", "loss")  # minidl.evaluation's, which loads NumPy
COUNT = 50
COLUMNS = tuple(
    "index name truth predicted score psnr input_psnr accuracy loss objects found right".split()
)


def add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="of an evaluation")
    parser.add_argument("--truth", default="", metavar="CLASS", help="only of this class")
    parser.add_argument("--predicted", default="", metavar="CLASS", help="only taken for this one")
    right = parser.add_mutually_exclusive_group()
    right.add_argument("--wrong", action="store_true", help="only what was answered wrongly")
    right.add_argument("--right", action="store_true", help="only what was answered rightly")
    parser.add_argument("--sort", choices=SORTS, default="index", help="order (default: index)")
    parser.add_argument(
        "--worst", type=whole(1), metavar="N", help="the same as --sort loss --count N"
    )
    parser.add_argument("--best-per-class", type=whole(1), metavar="N", help="the surest of each")
    parser.add_argument(
        "--offset", type=whole(0), default=0, metavar="N", help="leave out the first N"
    )
    parser.add_argument("--count", type=whole(1), metavar="N", help="show at most N (default: 50)")
    add_format(parser)


def add_format(parser: Parser) -> None:
    """Add the flags that say how records are shown."""
    parser.add_argument(
        "--thumb",
        type=whole(0, 4096),
        default=96,
        metavar="N",
        help="largest side of the pictures in --json (default: 96); 0: no pictures",
    )
    parser.add_argument("--json", action="store_true", help="print the records as JSON")


def run(args: Namespace) -> int:
    from minidl.evaluation.items import Choice

    choice = Choice(
        truth=args.truth,
        predicted=args.predicted,
        wrong=True if args.wrong else False if args.right else None,
        sort="loss" if args.worst else args.sort,
        best_per_class=args.best_per_class or 0,
        offset=args.offset,
        count=args.worst or args.count or (2**31 if args.best_per_class else COUNT),
    )
    answer(choice, args)
    return 0


def answer(choice: Any, args: Namespace) -> None:
    """Print the records that are asked for."""
    from minidl.evaluation.items import Evaluation

    side = (args.thumb or None) if args.json else None
    found = Evaluation(args.folder).items(choice, side)
    print(as_json.dumps(found) if args.json else report(found))


def report(found: dict[str, Any]) -> str:
    """Return a row for each record."""
    columns = [c for c in COLUMNS if any(cell(item.get(c)) for item in found["items"])]
    rows: list[Sequence[str]] = [
        [cell(item.get(column)) for column in columns] for item in found["items"]
    ]
    total = f"{len(rows)} of {found['total']:,}"
    return f"{table.render(columns, rows, left=4)}\n\n{total}" if rows else total


def cell(value: Any) -> str:
    """Return a value as text; nothing of None and NaN."""
    if value is None or value != value:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def indices(text: str) -> tuple[int, ...]:
    """Argument type: comma-separated numbers of records."""
    parts = names(text)
    if not parts or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not numbers such as 3,8,9")
    return tuple(int(part) for part in parts)
