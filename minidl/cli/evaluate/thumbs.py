"""Show some records of an evaluation, by their numbers.

minidl evaluate thumbs FOLDER --indices 3,8,9 --json
"""

from __future__ import annotations

from argparse import Namespace

from minidl.cli.arguments import Parser
from minidl.cli.evaluate import show


def add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="of an evaluation")
    parser.add_argument(
        "--indices", type=show.indices, required=True, metavar="I,J", help="numbers of records"
    )
    show.add_format(parser)


def run(args: Namespace) -> int:
    from minidl.evaluation.items import Choice

    show.answer(Choice(indices=args.indices, count=len(args.indices)), args)
    return 0
