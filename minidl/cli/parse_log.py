"""Turn the log of a training run into two tables, as Caffe's parse_log.py does.

LOG is a log of Caffe or minidl, an events.jsonl, or a run's folder. The files are LOG.train and
LOG.test, with the columns NumIters, Seconds, LearningRate and one for each output.
"""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from pathlib import Path

from minidl.cli.arguments import Parser, existing_run
from minidl.errors import UsageError
from minidl.runs import store
from minidl.runs.record import Record, Row


def add_arguments(parser: Parser) -> None:
    parser.add_argument("log", metavar="LOG", help="log, events.jsonl, or folder of a run")
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="where to write (default: next to the log)"
    )
    parser.add_argument(
        "--delimiter", default=",", metavar="C", help="character between columns (default: ,)"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="accepted: the files are named anyway"
    )


def run(args: Namespace) -> int:
    from minidl.storage import files

    if len(args.delimiter) != 1:
        raise UsageError(
            f"'{args.delimiter}' is not one character", where="minidl parse_log --delimiter"
        )
    record = store.record(existing_run(args.log))
    folder = Path(args.folder) if args.folder else record.path.parent
    for end, rows in tables(record).items():
        path = folder / f"{record.path.name}.{end}"
        files.write_all(path, [text(rows, args.delimiter).encode()])
        print(f"{path}  {len(rows)} rows")
    return 0


def tables(record: Record) -> dict[str, list[Row]]:
    """Return rows by the ending of their file: 'train', 'test', then 'test1', ... for more nets."""
    named = {"train": record.train}
    named |= {f"test{net or ''}": rows for net, rows in sorted(record.tests.items())}
    return {end: rows for end, rows in named.items() if rows}


def text(rows: list[Row], delimiter: str) -> str:
    """Return the rows as delimited text under a header. Missing values are left empty."""
    outputs = dict.fromkeys(name for row in rows for name in row.outputs)
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["NumIters", "Seconds", "LearningRate", *outputs])
    for row in rows:
        values = [row.outputs.get(name, "") for name in outputs]
        writer.writerow([float(row.iteration), row.seconds, row.rate, *values])
    return file.getvalue()
