"""Pictures of two folders, matched by their names."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from minidl.data import picture_folder
from minidl.errors import DataError


class Pair(NamedTuple):
    """Two pictures with the same name: their path below the folders, without its ending."""

    name: str
    input: str
    target: str


@dataclass
class Matched:
    """Pictures of two folders.

    alone    pictures that have no partner
    others   files that are not pictures by their names: endings and numbers
    """

    pairs: list[Pair]
    alone: list[str]
    others: Counter[str]


def match(inputs: str | os.PathLike[str], targets: str | os.PathLike[str]) -> Matched:
    """Match pictures by their paths below the two folders, without the endings.

    Errors: DataError for folders that are absent or without a pair, and for two pictures in one
    folder that differ in their endings only.
    """
    others: Counter[str] = Counter()
    first, second = _by_name(inputs, others), _by_name(targets, others)
    names = sorted(first.keys() & second.keys())
    if not names:
        raise DataError(
            f"holds {len(first):,} pictures, none of which has the name of one of the "
            f"{len(second):,} in {targets}",
            where=str(inputs),
            expected="pictures of the same names, but for their endings: a/1.png and a/1.jpg",
        )
    alone = [path for name, path in first.items() if name not in second]
    alone += [path for name, path in second.items() if name not in first]
    return Matched([Pair(name, first[name], second[name]) for name in names], alone, others)


def _by_name(folder: str | os.PathLike[str], others: Counter[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in picture_folder.below(folder, others):
        name = Path(os.path.splitext(os.path.relpath(path, folder))[0]).as_posix()
        if name in found:
            raise DataError(
                f"has {found[name]} and {path}",
                where=str(folder),
                expected="one picture of each name, whatever its ending",
            )
        found[name] = path
    return found
