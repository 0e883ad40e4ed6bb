"""A data set made of picture files: the stores, lists, labels, mean and description of it."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minidl import schema
from minidl.arrays.threads import threads
from minidl.data import described, duplicates, image_mean, imageset, picture_folder, planes
from minidl.data.described import DataSet, Remark, Split
from minidl.data.picture_folder import PARTS, Looks
from minidl.data.resize import Resize
from minidl.data.sources.image_list import ImageList
from minidl.data.sources.lmdb import Lmdb, is_lmdb
from minidl.errors import DataError, FormatError, UsageError
from minidl.runs import job
from minidl.storage import files, replaceable

log = logging.getLogger("minidl")

MODES = {"squash": "STRETCH", "crop": "CROP", "fill": "FILL", "half_crop": "HALF_CROP"}
MOST_CLASSES = 10_000  # that are named by their numbers
SIDE = 256  # of pictures of different sizes
LISTS = {part: f"{part}.txt" for part in PARTS}
STORES = {part: f"{part}_lmdb" for part in PARTS}
TARGETS = {part: f"{part}_target_lmdb" for part in PARTS}  # of pairs
LABELS, MEAN, MEAN_PICTURE = "labels.txt", "mean.binaryproto", "mean.png"
SHOWN = duplicates.SHOWN

# Called with what is being done, how many pictures are done, and how many there are.
READING, WRITING, AVERAGING, DESCRIBING = "reading", "writing", "averaging", "describing"
Watch = Callable[[str, int, int], object]


def unwatched(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass
class Form:
    """The form in which pictures are stored.

    size         (height, width); None: the pictures' own if they have one in common, else 256 x 256
    mode         one of MODES
    color        3 channels, else 1; None: 1 if no picture has colours
    encode       "png" or "jpg", to store files; "": plain bytes
    """

    size: tuple[int, int] | None = None
    mode: str = "squash"
    color: bool | None = None
    encode: str = ""

    def settled(self, looks: Looks) -> imageset.Form:
        """Return the form for pictures that look like this."""
        size = self.size or picture_folder.sizes_of(looks, SIDE) or (SIDE, SIDE)
        color = not looks.grey if self.color is None else self.color
        return self.stored(size, color)

    def stored(self, size: tuple[int, int], color: bool) -> imageset.Form:
        """Return the form for this size and number of channels."""
        resize = Resize(resize_param(self.mode, size), reject)
        return imageset.Form(resize, color, bool(self.encode), self.encode)


def resize_param(mode: str, size: tuple[int, int], **more: Any) -> Any:
    """Return the ImageResize of one of MODES."""
    options = {"filter": "ANTIALIAS"} | more
    return schema.ImageResize(mode=MODES[mode], height=size[0], width=size[1], **options)


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


# ---------------------------------------------------------------------- the folder


def is_ours(folder: Path) -> bool:
    """Return whether a folder holds a data set, or what a killed command left of one: the texts in
    it are ours, too."""
    if is_lmdb(folder / STORES["train"]):
        return True
    try:
        return job.read(folder).kind == "dataset"
    except (UsageError, FormatError):
        return False


def check(folder: Path) -> None:
    """Refuse a folder in which somebody else's files have the names of ours. Errors: UsageError."""
    if is_ours(folder):
        return
    for name in (LABELS, *LISTS.values()):
        replaceable.check(folder / name, "a list of a data set")
    for path in _small(folder):
        replaceable.check(path, "a part of a data set")


def begin(folder: Path) -> None:
    """Remove the descriptions of the data set that is replaced: what is half new is not complete.

    And what belongs to its records, and the unfinished stores of a killed command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (described.NAME, "preprocess.json"):
        path = folder / name
        if path.is_file() and replaceable.kind_of(path).startswith("a description"):
            path.unlink()
    for path in _small(folder):
        path.unlink(missing_ok=True)
    for ending in ("new", "old"):
        for path in folder.glob(f".*_lmdb.*.{ending}"):
            shutil.rmtree(path, ignore_errors=True)


def _small(folder: Path) -> list[Path]:
    """Return the files that belong to the records of each part, whether they exist or not."""
    kinds = (described.labels_file, described.index_file)
    return [kind(folder, part) for part in PARTS for kind in kinds]


def remove_older(folder: Path, stores: Iterable[str]) -> None:
    """Remove the stores that an older data set in this folder had, and this one does not have."""
    for part in PARTS:
        for store in (STORES[part], TARGETS[part]):
            if store not in stores and (folder / store).exists():
                replaceable.folder_of_lmdb(folder / store)
                shutil.rmtree(folder / store)
        if STORES[part] not in stores:
            (folder / LISTS[part]).unlink(missing_ok=True)


# ---------------------------------------------------------------------- stores


class Hashed(ImageList):
    """A list of images that notes a number for the bytes of each file it reads."""

    def __init__(self, file: Path, color: bool) -> None:
        super().__init__(file, color=color, count=1)
        self.digests = np.zeros(len(self), np.uint64)

    def read(self, number: int) -> bytes:
        data = super().read(number)
        self.digests[number] = duplicates.digest(data)
        return data


class Counting:
    """Tells a Watch about one stage: call it for each picture, in any thread."""

    def __init__(self, watch: Watch, stage: str, total: int) -> None:
        self._watch, self._stage, self._total = watch, stage, total
        self._done, self._lock = 0, threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._done += 1
            self._watch(self._stage, self._done, self._total)


def write_parts(
    folder: Path,
    parts: Mapping[str, Sequence[tuple[str, int]]],
    form: imageset.Form,
    watch: Watch,
) -> tuple[dict[str, Part], list[str]]:
    """Write the list, the LMDB and the labels of each part; return what is in them, and a sentence
    for each file that could not be read.

    parts   (path, label) of every picture, in the order in which they are stored
    """
    tick = Counting(watch, WRITING, sum(map(len, parts.values())))
    written, unreadable = {}, []
    for part, pairs in parts.items():
        lines = "".join(f"{path} {label}\n" for path, label in pairs)
        place = folder / LISTS[part]
        files.write_all(place, [lines.encode("utf-8", "surrogateescape")], own=True)
        images = Hashed(place, bool(form.color))
        log.info("Writing %s: %d pictures", folder / STORES[part], len(pairs))
        report = imageset.convert(
            images, folder / STORES[part], form, range(len(images)), workers=threads(), tick=tick
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


def write_labels(folder: Path, labels: Sequence[str]) -> None:
    names = "\n".join((*labels, "")).encode("utf-8", "surrogateescape")
    files.write_all(folder / LABELS, [names], own=True)


def write_mean(folder: Path, store: str, watch: Watch) -> tuple[tuple[float, ...], ...]:
    """Write the mean picture of a store; return mean and deviation of each channel, rounded."""
    records = Lmdb(folder / store)
    try:
        tick = Counting(watch, AVERAGING, len(records))
        found, _ = image_mean.moments(records, tick)
    finally:
        records.close()
    mean = found.image()
    image_mean.write(folder / MEAN, mean)
    write_mean_picture(folder, mean)
    means = mean.mean(axis=(1, 2), dtype=np.float64)
    return rounded(means), rounded(found.deviations())


def write_mean_picture(folder: Path, mean: np.ndarray) -> None:
    """Write mean.png, for people, of a mean image (C, H, W); without Pillow they have none."""
    try:
        planes.pillow()
    except DataError as error:
        log.info("no %s: %s", folder / MEAN_PICTURE, error.found)
        return
    pixels = np.rint(np.clip(mean, 0, 255)).astype(np.uint8)
    data = imageset.encode(pixels if len(pixels) == 1 else pixels[:3], "png")
    files.write_all(folder / MEAN_PICTURE, [data])


def rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def bytes_of(folder: Path, stores: Iterable[str | Path]) -> int:
    """Return how much room files, and folders of files, take on the disk."""
    total = 0
    for store in stores:
        place = folder / store
        names = [place] if place.is_file() else [Path(e.path) for e in os.scandir(place)]
        total += sum(path.stat().st_size for path in names if path.is_file())
    return total


# ---------------------------------------------------------------------- remarks


def remark(kind: str, text: str, cases: Sequence[str]) -> Remark:
    """Return a remark on some cases, the first of which are its examples."""
    return Remark(kind, text, len(cases), tuple(cases[:SHOWN]))


def on_unreadable(sentences: Sequence[str]) -> list[Remark]:
    if not sentences:
        return []
    count = f"{len(sentences):,} file{'s' * (len(sentences) > 1)}"
    return [remark("unreadable", f"{count} could not be read and were left out", sentences)]


def on_others(others: Mapping[str, int]) -> list[Remark]:
    if not others:
        return []
    total = sum(others.values())
    text = f"{total:,} file{'s' * (total > 1)} skipped, not pictures by their names"
    kinds = [f"{ending} ({count:,})" for ending, count in sorted(others.items())]
    return [Remark("other", text, total, tuple(kinds[:SHOWN]))]


def look(paths: Sequence[str], watch: Watch) -> Looks:
    """Read the headers of picture files."""
    planes.pillow()
    return picture_folder.look(list(paths), Counting(watch, READING, len(paths)))


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
            part: Split(len(one.paths), STORES[part], classes=by_label(one.labels, len(labels)))
            for part, one in written.items()
        },
        size=(form.resize.height, form.resize.width),
        channels=3 if form.color else 1,
        encoding=form.encode_type,
        labels=labels,
        mean=moments[0],
        std=moments[1],
        bytes=bytes_of(folder, [*(STORES[part] for part in written), MEAN]),
        warnings=(*remarks, *copies),
        duplicates=counts,
        **more,
    )


def reject(found: str, **parts: Any) -> NoReturn:
    """Refuse what a Resize cannot do."""
    parts.pop("field", None)
    raise UsageError(found, **parts)
