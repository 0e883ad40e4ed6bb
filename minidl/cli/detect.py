"""Class scores of windows of images: the words and flags of Caffe's detect.py.

    minidl detect windows.csv OUT --model deploy.prototxt --weights net.caffemodel

The list has the columns filename, ymin, xmin, ymax, xmax; paths are relative to the current folder.
OUT is a .csv, .npz or .h5.
"""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import Parser, text_of, whole
from minidl.cli.log import logging_to
from minidl.cli.pictures import add_net, add_words, opened
from minidl.errors import UsageError

EDGES = ("ymin", "xmin", "ymax", "xmax")
ENDINGS = (".csv", ".npz", ".h5", ".hdf5")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("windows", metavar="WINDOWS", help="table of windows, .csv")
    parser.add_argument("out", metavar="OUT", help=".csv, .npz or .h5 for the scores")
    parser.add_argument(
        "--crop-mode",
        choices=("list", "selective_search"),
        default="list",
        help="source of the windows: the list (default)",
    )
    parser.add_argument(
        "--context-pad", type=whole(0), default=0, metavar="N", help="pixels around a window"
    )
    add_net(parser)
    add_words(parser)


def run(args: Namespace) -> int:
    if Path(args.out).suffix.lower() not in ENDINGS:
        raise UsageError("cannot be written", where=args.out, expected=f"one of {ENDINGS}")
    with logging_to(args):
        from minidl.detector import Detector

        with opened(Detector, args, context_pad=args.context_pad) as net:
            if args.crop_mode == "selective_search":
                net.detect_selective_search([args.windows])
            found = net.detect_windows(read_windows(args.windows))
    write(args.out, found)
    print(f"{args.out}  {len(found)} windows")
    return 0


def read_windows(path: str) -> list[tuple[str, list[tuple[float, ...]]]]:
    """Return (filename, windows) for each run of rows of one file."""
    text = text_of(path, "a table of windows")
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    missing = [name for name in ("filename", *EDGES) if name not in (rows.fieldnames or ())]
    if missing:
        expected = ", ".join(("filename", *EDGES))
        raise UsageError(f"has no column {', '.join(missing)}", where=path, expected=expected)
    found: list[tuple[str, list[tuple[float, ...]]]] = []
    for row in rows:
        try:
            window = tuple(float(row[edge]) for edge in EDGES)
        except (TypeError, ValueError):
            where = f"{path}:{rows.line_num}"
            values = [row[edge] for edge in EDGES]
            raise UsageError(f"has the window {values}", where=where, expected="numbers") from None
        if not found or found[-1][0] != row["filename"]:
            found.append((row["filename"], []))
        found[-1][1].append(window)
    if not found:
        raise UsageError("has no windows", where=path)
    return found


def write(path: str, found: list[dict[str, Any]]) -> None:
    """Write the scores of all windows, in the format of the path's ending."""
    import numpy as np

    from minidl.storage import files, hdf5

    windows = np.stack([entry["window"] for entry in found])
    scores = np.stack([entry["prediction"] for entry in found])
    names = [entry["filename"] for entry in found]
    if path.lower().endswith(".npz"):
        with files.replacing(path) as file:
            np.savez(file, filename=np.array(names), window=windows, prediction=scores)
    elif path.lower().endswith(".csv"):
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["filename", *EDGES, *(f"class{i}" for i in range(scores.shape[1]))])
        for name, window, row in zip(names, windows, scores, strict=True):
            table.writerow([name, *(f"{edge:g}" for edge in window), *(f"{s:.9g}" for s in row)])
        files.write_all(path, [text.getvalue().encode()])
    else:
        with hdf5.writing(path) as file:
            file["filename"], file["window"], file["prediction"] = names, windows, scores
