"""A data set of the pictures in a folder: the code behind `minidl dataset folder`."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minidl import schema
from minidl.arrays.threads import threads
from minidl.data import image_mean, imageset, picture_folder
from minidl.data.picture_folder import PARTS, Found
from minidl.data.resize import Resize
from minidl.data.sources.image_list import ImageList
from minidl.data.sources.lmdb import Lmdb, is_lmdb
from minidl.errors import DataError, UsageError
from minidl.storage import files, replaceable

log = logging.getLogger("minidl")

MODES = {"squash": "STRETCH", "crop": "CROP", "fill": "FILL", "half_crop": "HALF_CROP"}
SIDE = 256  # of pictures of different sizes
LISTS = {part: f"{part}.txt" for part in PARTS}
STORES = {part: f"{part}_lmdb" for part in PARTS}
LABELS, MEAN = "labels.txt", "mean.binaryproto"


@dataclass
class Choices:
    """How to make the data set.

    size         (height, width); None: the pictures' own if they have one in common, else 256 x 256
    mode         one of MODES
    color        3 channels, else 1; None: 1 if no picture has colours
    percent      of picture_folder.percentages
    least, most  pictures of a class
    encode       "png" or "jpg", to store files; "": plain bytes
    """

    size: tuple[int, int] | None = None
    mode: str = "squash"
    color: bool | None = None
    percent: dict[str, float] = field(default_factory=lambda: picture_folder.percentages(25, 0))
    least: int = 2
    most: int | None = None
    seed: int = 0
    encode: str = ""


@dataclass
class Made:
    """The data set that was made.

    counts      pictures in each part
    by_class    of all parts, by the names of the classes
    few         classes left out, and how many pictures they have
    unreadable  a sentence for each file that is not a picture
    others      files that are not pictures by their names: endings and numbers
    resize      an ImageResize; channels, means   one number a channel
    """

    labels: tuple[str, ...]
    counts: dict[str, int]
    by_class: dict[str, int]
    few: dict[str, int]
    unreadable: list[str]
    others: dict[str, int]
    resize: Any
    means: tuple[float, ...]


def prepare(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    choices: Choices,
    tick: Callable[[], object] = lambda: None,
) -> Made:
    """Write OUT/train_lmdb, val_lmdb and test_lmdb, the lists of what is in them, labels and mean.

    tick   called after each picture, which is read twice

    Errors: DataError and UsageError; files that are not pictures are listed in the result.
    """
    found = picture_folder.find(folder)
    looks = picture_folder.look(_all_paths(found), tick)
    bad = looks.unreadable
    for classes in found.parts.values():
        for name, paths in list(classes.items()):
            classes[name] = [path for path in paths if path not in bad]
    dealt, few = _dealt(found, choices)
    labels = tuple(sorted({name for name in dealt["train"] if dealt["train"][name]}))
    for part in ("val", "test"):
        for name in sorted(set(dealt[part]) - set(labels) - set(few)):
            log.warning("%s: class '%s' is not in the training part, and is left out", part, name)
    if len(labels) < 2:
        raise DataError(
            f"has {len(labels)} classes with enough readable pictures",
            where=str(folder),
            expected="at least two",
            fix=f"too few: {', '.join(few)}; see --min" if few else "",
        )
    size = choices.size or picture_folder.sizes_of(looks, SIDE) or (SIDE, SIDE)
    color = not looks.grey if choices.color is None else choices.color
    resize = schema.ImageResize(
        mode=MODES[choices.mode], height=size[0], width=size[1], filter="ANTIALIAS"
    )
    form = imageset.Form(
        resize=Resize(resize, _reject),
        color=color,
        encoded=bool(choices.encode),
        encode_type=choices.encode,
    )
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    again = is_lmdb(target / STORES["train"])  # so the texts next to it are ours too
    for name in () if again else (LABELS, *LISTS.values()):
        replaceable.check(target / name, "a list of a data set")
    counts, unreadable = {}, list(bad.values())
    by_class = dict.fromkeys(labels, 0)
    for part in PARTS:
        classes = {name: dealt[part].get(name, []) for name in labels}
        pairs = picture_folder.shuffled(classes, list(labels), choices.seed)
        if not pairs:
            continue
        report = _write(target, part, pairs, form, again, tick)
        counts[part] = report.written
        for i in set(range(len(pairs))) - set(report.left_out):
            by_class[labels[pairs[i][1]]] += 1
        unreadable += [str(error).splitlines()[0] for error in report.unreadable]
    _remove_older(target, counts)
    names = "\n".join((*labels, "")).encode("utf-8", "surrogateescape")
    files.write_all(target / LABELS, [names], own=again)
    means = _mean(target)
    return Made(labels, counts, by_class, few, unreadable, dict(found.others), resize, means)


def _all_paths(found: Found) -> list[str]:
    return [p for classes in found.parts.values() for paths in classes.values() for p in paths]


def _dealt(
    found: Found, choices: Choices
) -> tuple[dict[str, dict[str, list[str]]], dict[str, int]]:
    """Return pictures by part and class: dealt by percentages, or as the folder is split."""
    if "" in found.parts:
        return picture_folder.deal(
            found.parts[""], choices.percent, choices.seed, choices.least, choices.most
        )
    alone = {"train": 100.0, "val": 0.0, "test": 0.0}
    if "val" not in found.parts and "test" not in found.parts:
        alone = choices.percent
    dealt, few = picture_folder.deal(
        found.parts["train"], alone, choices.seed, choices.least, choices.most
    )
    for part in ("val", "test"):
        if part in found.parts:
            dealt[part] = found.parts[part]
    return dealt, few


def _write(
    target: Path,
    part: str,
    pairs: list[tuple[str, int]],
    form: Any,
    again: bool,
    tick: Callable[[], object],
) -> Any:
    lines = "".join(f"{path} {label}\n" for path, label in pairs)
    files.write_all(target / LISTS[part], [lines.encode("utf-8", "surrogateescape")], own=again)
    images = ImageList(target / LISTS[part], color=form.color, count=1)
    order = range(len(images))
    return imageset.convert(
        images, target / STORES[part], form, order, workers=threads(), tick=tick
    )


def _remove_older(target: Path, counts: dict[str, int]) -> None:
    """Remove the parts that an older data set in this folder had, and this one does not have."""
    for part in set(PARTS) - set(counts):
        if (target / STORES[part]).exists():
            replaceable.folder_of_lmdb(target / STORES[part])
            shutil.rmtree(target / STORES[part])
            (target / LISTS[part]).unlink(missing_ok=True)


def _mean(target: Path) -> tuple[float, ...]:
    """Write the mean picture of the training part; return the mean of each channel."""
    store = Lmdb(target / STORES["train"])
    try:
        mean, _ = image_mean.compute(store)
    finally:
        store.close()
    image_mean.write(target / MEAN, mean)
    return tuple(round(float(value), 3) for value in mean.mean(axis=(1, 2), dtype=np.float64))


def _reject(found: str, **parts: Any) -> NoReturn:
    parts.pop("field", None)
    raise UsageError(found, **parts)
