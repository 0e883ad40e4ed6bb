"""A data set made of picture files: the stores, lists, labels, mean and description of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minidl.arrays.threads import threads
from minidl.data import (
    described,
    duplicates,
    image_mean,
    imageset,
    picture_folder,
    planes,
    set_files,
    watching,
)
from minidl.data.described import DataSet, Remark, Split
from minidl.data.picture_folder import Looks
from minidl.data.resize import Resize
from minidl.data.sources.image_list import ImageList
from minidl.data.sources.lmdb import Lmdb
from minidl.errors import DataError
from minidl.storage import files

log = logging.getLogger("minidl")

MOST_CLASSES = 10_000  # that are named by their numbers


@dataclass
class Made:
    """The data set that was made.

    counts      pictures in each part
    by_class    of all parts, by the names of the classes
    few         classes left out, and how many pictures they have
    unreadable  a sentence for each file that is not a picture
    others      files that are not pictures by their names: endings and numbers
    resize      an ImageResize; channels, means   one number a channel
    found       what dataset.json says
    """

    labels: tuple[str, ...]
    counts: dict[str, int]
    by_class: dict[str, int]
    few: dict[str, int]
    unreadable: list[str]
    others: dict[str, int]
    resize: Any
    means: tuple[float, ...]
    found: DataSet


@dataclass
class Part:
    """Pictures of one part with their labels, in the order in which they are stored."""

    paths: list[str]
    labels: list[int]
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))


class Hashed(ImageList):
    """A list of images that notes a number for the bytes of each file it reads."""

    def __init__(self, file: Path, color: bool) -> None:
        super().__init__(file, color=color, count=1)
        self.digests = np.zeros(len(self), np.uint64)

    def read(self, number: int) -> bytes:
        data = super().read(number)
        self.digests[number] = duplicates.digest(data)
        return data


def write_parts(
    folder: Path,
    parts: Mapping[str, Sequence[tuple[str, int]]],
    form: imageset.Form,
    watch: watching.Watch,
) -> tuple[dict[str, Part], list[str]]:
    """Write the list, the LMDB and the labels of each part; return what is in them, and a sentence
    for each file that could not be read.

    parts   (path, label) of every picture, in the order in which they are stored
    """
    tick = watching.Counting(watch, watching.WRITING, sum(map(len, parts.values())))
    written, unreadable = {}, []
    for part, pairs in parts.items():
        lines = "".join(f"{path} {label}\n" for path, label in pairs)
        place = folder / set_files.LISTS[part]
        files.write_all(place, [lines.encode("utf-8", "surrogateescape")], own=True)
        images = Hashed(place, bool(form.color))
        log.info("Writing %s: %d pictures", folder / set_files.STORES[part], len(pairs))
        report = imageset.convert(
            images,
            folder / set_files.STORES[part],
            form,
            range(len(images)),
            workers=threads(),
            tick=tick,
        )
        kept = np.setdiff1d(np.arange(len(pairs)), report.left_out)
        pictures = [pairs[i] for i in kept]
        labels = [label for _, label in pictures]
        written[part] = Part([path for path, _ in pictures], labels, images.digests[kept])
        described.write_labels(folder, part, labels)
        unreadable += [str(error).splitlines()[0] for error in report.unreadable]
    return written, unreadable


def by_label(labels: Iterable[int], count: int) -> tuple[int, ...]:
    """Return how often each of the labels 0 to `count` - 1 occurs."""
    found = Counter(labels)
    return tuple(found[label] for label in range(count))


def write_mean(folder: Path, store: str, watch: watching.Watch) -> tuple[tuple[float, ...], ...]:
    """Write the mean picture of a store; return mean and deviation of each channel, rounded."""
    records = Lmdb(folder / store)
    try:
        tick = watching.Counting(watch, watching.AVERAGING, len(records))
        found, _ = image_mean.moments(records, tick)
    finally:
        records.close()
    mean = found.image()
    image_mean.write(folder / set_files.MEAN, mean)
    write_mean_picture(folder, mean)
    means = mean.mean(axis=(1, 2), dtype=np.float64)
    return rounded(means), rounded(found.deviations())


def write_mean_picture(folder: Path, mean: np.ndarray) -> None:
    """Write mean.png, for people, of a mean image (C, H, W); without Pillow they have none."""
    try:
        planes.pillow()
    except DataError as error:
        log.info("no %s: %s", folder / set_files.MEAN_PICTURE, error.found)
        return
    pixels = np.rint(np.clip(mean, 0, 255)).astype(np.uint8)
    data = imageset.encode(pixels if len(pixels) == 1 else pixels[:3], "png")
    files.write_all(folder / set_files.MEAN_PICTURE, [data])


def rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def look(paths: Sequence[str], watch: watching.Watch) -> Looks:
    """Read the headers of picture files."""
    planes.pillow()
    return picture_folder.look(list(paths), watching.Counting(watch, watching.READING, len(paths)))


def describe(
    folder: Path,
    written: Mapping[str, Part],
    labels: tuple[str, ...],
    form: imageset.Form,
    moments: tuple[tuple[float, ...], ...],
    remarks: Sequence[Remark],
    **more: Any,
) -> DataSet:
    """Return the description of a data set of classes whose stores are written."""
    counts, copies = duplicates.find(
        {part: one.digests for part, one in written.items()},
        {part: one.paths for part, one in written.items()},
    )
    assert isinstance(form.resize, Resize)
    return DataSet(
        described.CLASSIFICATION,
        {
            part: Split(
                len(one.paths), set_files.STORES[part], classes=by_label(one.labels, len(labels))
            )
            for part, one in written.items()
        },
        size=(form.resize.height, form.resize.width),
        channels=3 if form.color else 1,
        encoding=form.encode_type,
        labels=labels,
        mean=moments[0],
        std=moments[1],
        bytes=set_files.bytes_of(
            folder, [*(set_files.STORES[part] for part in written), set_files.MEAN]
        ),
        warnings=(*remarks, *copies),
        duplicates=counts,
        **more,
    )
