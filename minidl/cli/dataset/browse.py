"""Print records of a data set, a page at a time; with --json also pictures of them.

minidl dataset browse data/pets --split val --label 3
minidl dataset browse data/pets --split val --indices 3,8,9 --json
"""

from __future__ import annotations

import argparse
import base64
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from minidl.cli.arguments import Parser, names, whole
from minidl.errors import DataError, UsageError, did_you_mean

MOST = 1000  # records at once


def add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DATA", help="folder of a data set")
    parser.add_argument("--split", metavar="PART", help="train, val or test (default: val)")
    parser.add_argument("--label", metavar="K", help="only records of this class: number or name")
    parser.add_argument(
        "--offset", type=whole(0), default=0, metavar="N", help="pass over as many (0)"
    )
    parser.add_argument(
        "--count", type=whole(1, MOST), default=50, metavar="N", help="at most as many (50)"
    )
    parser.add_argument("--indices", type=indices, metavar="I,J", help="these records")
    parser.add_argument(
        "--thumb",
        type=whole(8, 4096),
        default=96,
        metavar="N",
        help="longest side of the pictures in --json (96)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with pictures as PNG")


def run(args: Namespace) -> int:
    from minidl.cli import as_json
    from minidl.data import browsing, described

    found = described.read(args.folder)
    name = args.split or ("val" if "val" in found.splits else next(iter(found.splits), "train"))
    part = browsing.Part(args.folder, name)
    try:
        total, chosen = _chosen(part, args)
        items = _items(part, chosen, args.thumb if args.json else None)
    finally:
        part.close()
    if args.json:
        print(as_json.dumps({"split": name, "total": total, "offset": args.offset, "items": items}))
        return 0
    for item in items:
        size = " x ".join(map(str, item["size"]))
        label = "" if item["label"] is None else f"{item['label']} {item['class']}".strip()
        print(f"{item['index']:>8}  {label:<20}  {size:<11}  {item['name']}")
    print(f"{len(items):,} of {total:,} records")
    return 0


def _chosen(part: Any, args: Namespace) -> tuple[int, Sequence[int]]:
    """Return how many records fit, and the numbers of those to show."""
    if args.indices is not None:
        if args.label or args.offset:
            raise UsageError(
                "--indices stands alone",
                where="minidl dataset browse",
                fix="drop --label, --offset",
            )
        beyond = [i for i in args.indices if i >= len(part)]
        if beyond:
            raise UsageError(
                f"has no record {beyond[0]}",
                where=args.folder,
                expected=f"0 to {len(part) - 1}",
            )
        return len(args.indices), args.indices
    label = None if args.label is None else _label(args.label, part.found.labels)
    numbers = part.of_label(label)
    return len(numbers), numbers[args.offset : args.offset + args.count]


def _label(text: str, labels: Sequence[str]) -> int:
    """Return a label by its number or by the name of its class."""
    if text.isdecimal():
        return int(text)
    if text not in labels:
        raise UsageError(
            f"there is no class '{text}'", where="--label", fix=did_you_mean(text, labels)
        )
    return labels.index(text)


def _items(part: Any, numbers: Sequence[int], side: int | None) -> list[dict[str, Any]]:
    """Return what is known of these records; with their pictures, if `side` is given."""
    from minidl.arrays.threads import threads

    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(lambda number: _item(part, int(number), side), numbers))


def _item(part: Any, number: int, side: int | None) -> dict[str, Any]:
    from minidl.data import browsing

    label = None if part.labels is None else int(part.labels[number])
    labels = part.found.labels
    item: dict[str, Any] = {
        "index": number,
        "label": label,
        "class": labels[label] if label is not None and 0 <= label < len(labels) else "",
    }
    try:
        record = part[number]
    except DataError as error:
        return item | {"name": "", "size": [0, 0], "error": str(error)}
    item |= {"name": record.name, "size": list(record.image.shape[1:])}
    if side is None:
        return item
    item["png"] = _text(browsing.png(record.image, side))
    if record.target is not None:
        if part.found.targets == "classes":
            data = browsing.png_of_classes(record.target, side, part.found.ignore)
        else:
            data = browsing.png(record.target, side)
        item["target_png"] = _text(data)
    return item


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def indices(text: str) -> tuple[int, ...]:
    """Argument type: numbers of records, comma-separated."""
    parts = names(text)
    if not parts or len(parts) > MOST or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text[:80]}' is not a list of numbers such as 3,8,9")
    return tuple(map(int, parts))
