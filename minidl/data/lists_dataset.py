"""A data set of the pictures that text files list: the code behind `minidl dataset lists`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidl.arrays.rng import Streams
from minidl.data import making, set_files, watching
from minidl.data.described import DataSet
from minidl.data.picture_form import Form
from minidl.data.remarks import on_unreadable
from minidl.data.sources.image_list import ImageList
from minidl.data.watching import Watch
from minidl.errors import DataError, raise_all


@dataclass
class Choices(Form):
    """How to make the data set, beside the form of the pictures.

    root      the folder that relative paths begin in
    labels    names of the classes; () for their numbers
    shuffle   mix the pictures of each part, by `seed`; else in the order of the lists
    """

    root: str = ""
    labels: Sequence[str] = ()
    shuffle: bool = True
    seed: int = 0


def prepare(
    lists: Mapping[str, str | os.PathLike[str]],
    out: str | os.PathLike[str],
    choices: Choices,
    watch: Watch = watching.unwatched,
) -> tuple[DataSet, list[str]]:
    """Write the stores of listed pictures; return their description, and a sentence for each file
    that could not be read.

    lists    of each part: lines such as 'cats/tom.jpg 3'

    The caller writes the descriptions, last. Errors: DataError for lists that are not, labels that
    are not, and if no picture of a part can be read.
    """
    target = Path(out)
    parts = {part: _pairs(Path(path), choices) for part, path in lists.items()}
    labels = tuple(choices.labels) or _numbers(parts)
    looks = making.look([path for pairs in parts.values() for path, _ in pairs], watch)
    bad = looks.unreadable
    for part, pairs in parts.items():
        parts[part] = [pair for pair in pairs if pair[0] not in bad]
        if not parts[part]:
            raise DataError(
                "names no picture that can be read: " + next(iter(bad.values())),
                where=str(lists[part]),
                fix="" if choices.root else "--root DIR, the folder in which relative paths begin",
            )
    form = choices.settled(looks)
    set_files.begin(target)
    written, broken = making.write_parts(target, parts, form, watch)
    set_files.remove_older(target, [set_files.STORES[part] for part in written])
    set_files.write_labels(target, labels)
    moments = making.write_mean(target, set_files.STORES["train"], watch)
    unreadable = [*bad.values(), *broken]
    found = making.describe(
        target,
        written,
        labels,
        form,
        moments,
        on_unreadable(unreadable),
        source=", ".join(map(str, lists.values())),
        resize=choices.mode,
    )
    return found, unreadable


def _pairs(path: Path, choices: Choices) -> list[tuple[str, int]]:
    """Return (path, label) of the lines of a list, in the order in which they are stored."""
    images = ImageList(path, count=1)
    errors = []
    for label, line in zip(images.labels[:, 0], images.lines, strict=True):
        most = len(choices.labels) - 1 if choices.labels else making.MOST_CLASSES - 1
        if label != int(label) or not 0 <= label <= most:
            errors.append(
                DataError(
                    f"the label is {label:g}",
                    where=f"{path}:{line}",
                    expected=f"a whole number from 0 to {most}"
                    + (", as there are names" if choices.labels else ""),
                )
            )
    raise_all(errors)
    order = np.arange(len(images))
    if choices.shuffle:
        order = Streams(choices.seed).generator("order", 0).permutation(len(images))
    root = Path(choices.root)
    return [(str(root / images.paths[i]), int(images.labels[i, 0])) for i in order]


def _numbers(parts: Mapping[str, list[tuple[str, int]]]) -> tuple[str, ...]:
    """Return the numbers of all classes that the lists may mean."""
    return tuple(map(str, range(1 + max(label for p in parts.values() for _, label in p))))
