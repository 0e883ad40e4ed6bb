"""Print what is in a folder of pictures: classes, sizes, and files that are no pictures.

    minidl dataset scan PICTURES

It reads the headers of the files and writes nothing. Files that are cut short are found when the
data set is made, which reads all of them.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from minidl.cli.arguments import Parser, whole

SHOWN = 12  # sizes and endings that are printed


def add_arguments(parser: Parser) -> None:
    parser.add_argument("pictures", metavar="PICTURES", help="has a folder for each class")
    parser.add_argument(
        "--limit-bad", type=whole(0), default=50, metavar="N", help="bad files to name (50)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from minidl.cli import as_json, log
    from minidl.cli.progress import bar
    from minidl.data import scanning

    with log.logging_to(args), bar(args, desc="reading", unit="files") as progress:
        found = scanning.scan(args.pictures, progress.update)
    if args.json:
        print(as_json.dumps(in_json(found, args.limit_bad)))
    else:
        print("\n".join(_lines(found, args.limit_bad)))
    return 0


def in_json(found: Any, limit: int) -> dict[str, Any]:
    """Return a Scan in JSON's types.

    Of a folder that is split, the classes have the counts of all parts and of each.
    """
    names = sorted({name for classes in found.classes.values() for name in classes})
    split = "" not in found.classes
    return {
        "folder": found.folder,
        "pictures": found.pictures,
        "split": split,
        "classes": [
            {
                "label": name,
                "count": sum(classes.get(name, 0) for classes in found.classes.values()),
                **(
                    {"parts": {part: c.get(name, 0) for part, c in found.classes.items()}}
                    if split
                    else {}
                ),
            }
            for name in names
        ],
        "sizes": [{"size": list(size), "count": count} for size, count in found.sizes[:100]],
        "different_sizes": len(found.sizes),
        "grey": found.grey,
        "bad": [{"path": path, "reason": reason} for path, reason in found.bad[:limit]],
        "bad_count": len(found.bad),
        "others": [{"ending": ending, "count": count} for ending, count in found.others.items()],
        "default": {"size": list(found.size), "channels": found.channels},
    }


def _lines(found: Any, limit: int) -> list[str]:
    lines = []
    for part, classes in found.classes.items():
        if part:
            lines.append(f"{part}:")
        width = max(map(len, classes), default=0)
        lines += [f"{name:<{width}}  {count:>7,}" for name, count in classes.items()]
    total = len({name for classes in found.classes.values() for name in classes})
    colour = "grey" if found.grey else "colour"
    lines.append(f"{found.pictures:,} pictures in {total:,} classes, {colour}")
    sizes = ", ".join(f"{h} x {w} ({count:,})" for (h, w), count in found.sizes[:SHOWN])
    lines.append(f"sizes: {sizes}{', ...' if len(found.sizes) > SHOWN else ''}")
    if found.others:
        kinds = ", ".join(f"{end} ({n:,})" for end, n in list(found.others.items())[:SHOWN])
        lines.append(f"not pictures by their names: {kinds}")
    if found.bad:
        lines.append(f"{len(found.bad):,} cannot be read:")
        lines += [f"  {path}: {reason}" for path, reason in found.bad[:limit]]
        lines += ["  ..."] if len(found.bad) > limit else []
    return lines
