"""Pictures in folders, one per class: found, examined, and dealt to training and tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minidl.arrays.rng import Streams
from minidl.data import headers, planes
from minidl.data.sources import image
from minidl.errors import DataError

ENDINGS = frozenset(
    ".bmp .dib .gif .jfif .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)
PARTS = ("train", "val", "test")
_PART_OF = {
    name: part
    for part, names in zip(PARTS, ("train training", "val valid validation", "test"), strict=True)
    for name in names.split()
}
Dealt = dict[str, dict[str, list[str]]]  # paths by part and class
_GREY = ("1", "L", "LA", "La")


@dataclass
class Found:
    """Paths of pictures by part and class, as found in the folder.

    parts   {"": {class: paths}}, or {"train": ..., "test": ...} if the folder is already split
    others  endings of files that are not pictures by their names, and how many there are of each
    """

    parts: dict[str, dict[str, list[str]]]
    others: Counter[str] = field(default_factory=Counter)

    @property
    def labels(self) -> list[str]:
        """Return the names of all classes, in alphabetical order."""
        return sorted({name for classes in self.parts.values() for name in classes})


def find(folder: str | os.PathLike[str]) -> Found:
    """Return all pictures below a folder: each sub-folder is a class, with everything below it.

    A folder of the folders train, val (or valid, validation) and test has the classes in those.
    Names that begin with a dot are skipped; links are followed. Errors: DataError.
    """
    top = Path(folder)
    if not top.is_dir():
        raise DataError("there is no such folder", where=str(folder))
    found = Found({})
    folders = _sub_folders(top)
    names = {path.name: _PART_OF.get(path.name.lower()) for path in folders}
    if len(folders) > 1 and all(names.values()) and "train" in names.values():
        for path in folders:
            classes = found.parts.setdefault(str(names[path.name]), {})
            for name, paths in _classes(_sub_folders(path), found.others).items():
                classes.setdefault(name, []).extend(paths)
    else:
        found.parts[""] = _classes(folders, found.others)
    if not any(found.parts.values()):
        inside = any(_is_picture(name) for name in os.listdir(top))
        raise DataError(
            "has pictures, but not in folders" if inside else "has no folders with pictures",
            where=str(folder),
            expected="a folder for each class, with its pictures in it: cats/tom.jpg, dogs/rex.png",
        )
    return found


def below(folder: str | os.PathLike[str], others: Counter[str]) -> list[str]:
    """Return the paths of all pictures below a folder, in order; count other files in `others`.

    Errors: DataError for a folder that is not there, or has none.
    """
    if not Path(folder).is_dir():
        raise DataError("there is no such folder", where=str(folder))
    found = sorted(_pictures(Path(folder), others, set()))
    if not found:
        raise DataError("has no pictures", where=str(folder))
    return found


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _hidden(p.name))


def _classes(folders: list[Path], others: Counter[str]) -> dict[str, list[str]]:
    classes = {path.name: sorted(_pictures(path, others, set())) for path in folders}
    return {name: paths for name, paths in classes.items() if paths}


def _pictures(folder: Path, others: Counter[str], seen: set[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in seen:  # a link that leads back up
        return
    seen.add(real)
    for entry in os.scandir(folder):
        if _hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _pictures(Path(entry.path), others, seen)
        elif _is_picture(entry.name):
            yield entry.path
        else:
            others[os.path.splitext(entry.name)[1].lower() or entry.name] += 1


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX" or "\n" in name


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in ENDINGS


# ---------------------------------------------------------------------- sizes and colours


@dataclass
class Looks:
    """Results of reading the headers of picture files.

    sizes       (height, width) and how many have it
    grey        whether all pictures are grey
    unreadable  a sentence for each file that is not a picture, by its path
    """

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    grey: bool = True
    unreadable: dict[str, str] = field(default_factory=dict)


def look(paths: list[str], tick: Any = lambda: None) -> Looks:
    """Read the headers of picture files. Errors: DataError if Pillow is not installed."""
    pillow, looks = planes.pillow(), Looks()
    for path in paths:
        tick()
        try:
            with open(path, "rb", buffering=0) as file:
                found = headers.look(file.read(headers.BYTES))
            if found is None:
                with pillow.open(path, formats=image.FORMATS) as picture:
                    grey = picture.mode in _GREY or picture.mode.startswith("I")
                    found = headers.Header(picture.height, picture.width, grey)
            looks.sizes[found.height, found.width] += 1
            looks.grey &= found.grey
        except Exception as error:  # damaged files make Pillow raise nearly anything
            size = os.path.getsize(path) if os.path.exists(path) else 0
            reason = "is empty" if not size else str(error).split(" file ")[0]
            looks.unreadable[path] = f"{path}: {reason}"
    return looks


# ---------------------------------------------------------------------- who learns from what


def deal(
    classes: dict[str, list[str]],
    percent: dict[str, float],
    seed: int,
    least: int = 2,
    most: int | None = None,
) -> tuple[Dealt, dict[str, int]]:
    """Return pictures by part and class, and the classes with too few, with their numbers.

    percent   of each class's pictures that each of PARTS gets: 100 in all
    least     a class with fewer pictures, or with fewer than there are parts, is left out
    most      at most this many pictures of a class, drawn at random
    """
    wanted = max(least, sum(share > 0 for share in percent.values()))
    dealt: Dealt = {part: {} for part in PARTS}
    few = {}
    for name, paths in classes.items():
        if len(paths) < wanted:
            few[name] = len(paths)
            continue
        order = Streams(seed).generator(f"class {name}", 0).permutation(len(paths))[:most]
        start = 0
        for part, count in zip(PARTS, counts(len(order), percent), strict=True):
            chosen = order[start : start + count]
            dealt[part][name] = [paths[i] for i in chosen]
            start += count
    return dealt, few


def counts(number: int, percent: dict[str, float]) -> tuple[int, int, int]:
    """Return how many of `number` pictures go to training, validation and test: at least one to
    each part with a share, as long as there are enough.

    Source: NVIDIA/DIGITS, digits/tools/parse_folder.py.
    """
    train_share, val_share, test_share = (percent[part] for part in PARTS)
    train = min(number, int(number * train_share / 100 + 0.5))
    if train_share > 0 and train == 0:
        train = 1
    val = min(number - train, int(number * val_share / 100 + 0.5))
    if val_share > 0 and val == 0:
        if train == number and train > 1:
            train -= 1
        val = min(1, number - train)
    test = number - train - val
    if test_share > 0 and test == 0:
        if val > 1:
            val, test = val - 1, 1
        elif train > 1:
            train, test = train - 1, 1
    if test_share == 0:
        train, test = train + test, 0
    return train, val, test


def shuffled(classes: dict[str, list[str]], labels: list[str], seed: int) -> list[tuple[str, int]]:
    """Return (path, number of its class) of all pictures of a part, shuffled."""
    number = {name: i for i, name in enumerate(labels)}
    pairs = [(path, number[name]) for name, paths in classes.items() for path in paths]
    order = Streams(seed).generator("order", 0).permutation(len(pairs))
    return [pairs[i] for i in order]


def sizes_of(looks: Looks, most: int) -> tuple[int, int] | None:
    """Return the one size of all pictures, if they have one and no side is longer than `most`."""
    if len(looks.sizes) != 1:
        return None
    (size,) = looks.sizes
    return size if max(size) <= most else None


def percentages(val: float, test: float) -> dict[str, float]:
    """Return all shares; training gets the rest. Errors: DataError if that is 0, or one is < 0."""
    shares = {"train": 100 - val - test, "val": val, "test": test}
    if not all(np.isfinite(list(shares.values()))) or min(shares.values()) < 0 or val + test >= 100:
        raise DataError(
            f"{val:g} % for validation and {test:g} % for test leave {100 - val - test:g} %",
            expected="pictures left for training",
        )
    return shares
