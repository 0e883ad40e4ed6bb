"""The data set of a new run: its stores, how many records they have, what is done to a picture."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minidl.errors import UsageError

MEANS = ("image", "pixel", "none")
ORDER = ("val", "test", "train")  # which part the net is tested on: the first that there is


@dataclass(frozen=True)
class Part:
    """A part of a data set.

    store, target   paths of the records, and of the second pictures, of pairs
    backend         "lmdb", "leveldb" or "hdf5"
    """

    records: int
    store: str
    backend: str = "lmdb"
    target: str = ""


@dataclass(frozen=True)
class Data:
    """A data set as a net needs to know it.

    parts         by name: "train", "val", "test"
    description   a Preprocess
    classes       how many; 0 where nobody says
    pairs         records are pairs of pictures, the second of which is what is wanted
    ignore        a label of pixels that do not count; -1: none
    size          (height, width) of the records, or None
    """

    folder: Path
    parts: dict[str, Part]
    description: Any
    classes: int
    pairs: bool = False
    ignore: int = -1
    size: tuple[int, int] | None = None

    @property
    def tests(self) -> str:
        """The part that the net is tested on."""
        return next(part for part in ORDER if part in self.parts)

    @property
    def elsewhere(self) -> bool:
        """Whether its records are not in its folder: then nothing beside them describes them."""
        return Path(self.parts["train"].store).resolve().parent != self.folder.resolve()

    @property
    def counts(self) -> dict[str, int]:
        return {name: part.records for name, part in self.parts.items()}


def is_one(folder: Path) -> bool:
    """Return whether a folder holds a data set, not the pictures themselves."""
    from minidl import preprocess
    from minidl.data import described

    return described.is_one(folder) or (folder / preprocess.NAME).is_file()


def read(folder: Path) -> Data:
    """Return the data set in a folder. Errors: UsageError for one without pictures to learn."""
    from minidl.data import described

    found = _described(folder) if described.is_one(folder) else _plain(folder)
    if "train" not in found.parts:
        what = "train part" if described.is_one(folder) else "train_lmdb"
        raise UsageError(f"has no {what}", where=str(folder), fix="make it again with --force")
    return found


def _described(folder: Path) -> Data:
    from minidl.data import described

    found = described.read(folder)
    parts = {
        name: Part(
            split.records,
            described.store(folder, split).as_posix(),
            split.backend,
            described.target(folder, split).as_posix() if split.target else "",
        )
        for name, split in found.splits.items()
        if split.records
    }
    counted = max((len(split.classes) for split in found.splits.values()), default=0)
    height, width = found.size
    return Data(
        folder,
        parts,
        _description(folder, found),
        len(found.labels) or counted,
        found.task == described.PAIRS,
        found.ignore,
        (height, width) if height and width else None,
    )


def _description(folder: Path, found: Any) -> Any:
    """Return what is done to a picture; of a store that is used in place that may be nothing."""
    from minidl import preprocess, schema

    if (folder / preprocess.NAME).is_file():
        return preprocess.read(folder / preprocess.NAME)
    channels = "gray" if found.channels == 1 else "BGR"
    return preprocess.Preprocess(schema.TransformationParameter(), channels, found.labels)


def _plain(folder: Path) -> Data:
    """Return a data set that was made before there was dataset.json."""
    from minidl import preprocess
    from minidl.data import set_files
    from minidl.data.sources.lmdb import Lmdb

    description = preprocess.read(folder / preprocess.NAME)
    parts = {}
    for part, name in set_files.STORES.items():
        if (folder / name).is_dir():
            pictures = Lmdb(folder / name)
            parts[part] = Part(len(pictures), (folder / name).as_posix())
            pictures.close()
    resize = description.transform.resize
    size = (resize.height, resize.width or resize.height) if resize.height else None
    return Data(folder, parts, description, len(description.labels), size=size)


def with_mean(data: Data, mean: str | None) -> Data:
    """Return the data set with another mean to be subtracted: one of MEANS, None for its own.

    By themselves pictures that are to become pictures are learned without a mean: what is wanted
    has none, and the two are to be on one scale.
    """
    if mean is None and not (data.pairs and not data.classes):
        return data
    from minidl import schema

    transform = schema.TransformationParameter()
    transform.CopyFrom(data.description.transform)
    transform.ClearField("mean_value")
    transform.ClearField("mean_file")
    if mean == "image":
        transform.mean_file = str(_mean_file(data))
    elif mean == "pixel":
        transform.mean_value.extend(_mean_values(data))
    return replace(data, description=replace(data.description, transform=transform))


def _mean_values(data: Data) -> tuple[float, ...]:
    from minidl.data import described
    from minidl.storage import mean

    if described.is_one(data.folder):
        found = described.read(data.folder).mean
        if found:
            return tuple(found)
    values = mean.read(_mean_file(data)).mean(axis=(1, 2), dtype="float64")
    return tuple(round(float(value), 3) for value in values)


def _mean_file(data: Data) -> Path:
    from minidl.data import set_files

    own = data.description.transform.mean_file
    for path in (data.folder / set_files.MEAN, Path(own) if own else None):
        if path is not None and os.path.isfile(path):
            return path
    raise UsageError(
        f"has no {set_files.MEAN}",
        where=str(data.folder),
        fix="minidl compute_image_mean, then minidl dataset store --mean FILE; or --mean none",
    )
