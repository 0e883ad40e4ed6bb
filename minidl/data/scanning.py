"""What is in a folder of pictures, before a data set is made of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from minidl.data import picture_folder, picture_form


@dataclass
class Scan:
    """Pictures of a folder, counted.

    classes     pictures of each class that can be opened; of each part, {"train": {"cats": 3}}, or
                {"": {"cats": 3}} in a folder that is not split
    pictures    how many they are
    sizes       ((height, width), how many), most frequent first
    grey        whether none has colours
    bad         (path, reason) of files that are no pictures in spite of their names
    others      endings of the other files, and how many there are of each
    size, channels   what a data set of them gets if nothing else is said
    """

    folder: str
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    pictures: int = 0
    sizes: list[tuple[tuple[int, int], int]] = field(default_factory=list)
    grey: bool = False
    bad: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)
    channels: int = 0


def scan(folder: str | os.PathLike[str], tick: Callable[[], object] = lambda: None) -> Scan:
    """Read the headers of all pictures in a folder that has a folder for each class.

    tick   called after each file

    Errors: as of picture_folder.find; DataError without Pillow.
    """
    found = picture_folder.find(folder)
    paths = [p for classes in found.parts.values() for ps in classes.values() for p in ps]
    looks = picture_folder.look(paths, tick)
    bad = looks.unreadable
    counts = {
        part: {name: sum(path not in bad for path in ps) for name, ps in sorted(classes.items())}
        for part, classes in found.parts.items()
    }
    side = picture_form.SIDE
    return Scan(
        os.fspath(folder),
        counts,
        len(paths) - len(bad),
        looks.sizes.most_common(),
        looks.grey,
        [(path, sentence.removeprefix(f"{path}: ")) for path, sentence in bad.items()],
        dict(found.others.most_common()),
        picture_folder.sizes_of(looks, side) or (side, side),
        1 if looks.grey else 3,
    )
