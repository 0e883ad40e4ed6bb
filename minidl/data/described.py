"""dataset.json: what the data set in a folder is; what has it is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import DataError, FormatError, UsageError
from minidl.storage import files

NAME, FORMAT = "dataset.json", "minidl dataset 1"
LARGEST = 1 << 28  # bytes of a description
CLASSIFICATION, PAIRS = "classification", "pairs"
BACKENDS = ("lmdb", "leveldb", "hdf5")
LABEL = np.dtype("<i4")  # of a file of labels


@dataclass(frozen=True)
class Split:
    """One of the parts "train", "val" and "test".

    records   how many
    store     an LMDB or LevelDB, or a list of HDF5 files: relative to the data set's folder, or
              absolute where somebody else's is described in place
    backend   one of BACKENDS
    classes   records of each label; of label images, pixels
    target    the store of the second pictures, of pairs
    """

    records: int
    store: str
    backend: str = "lmdb"
    classes: tuple[int, ...] = ()
    target: str = ""


@dataclass(frozen=True)
class Remark:
    """Something that people should know: its kind, a sentence, how often, and some of the cases."""

    kind: str
    text: str
    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A described data set.

    task             CLASSIFICATION, or PAIRS of pictures
    source           folder, lists or stores that it was made of, in words
    size, channels   of every record's picture, (height, width); (0, 0) if they differ
    resize           how pictures were brought to that size: squash, crop, fill, half_crop; or ""
    encoding         "png" or "jpg" if records are files, else ""
    labels           names of the classes; may be empty
    splits           by the names of the parts
    targets          of pairs: "image" or "classes"; and `target_channels`
    ignore           a label of pixels that belong to no class, of label images; -1: none
    mean, std        of each channel of what is learned from: blue, green and red, or grey
    bytes            on the disk
    warnings         what was left out, and what looks wrong
    duplicates       equal pictures within a part and across two: {"train": 3, "train/val": 1}
    """

    task: str
    splits: Mapping[str, Split]
    source: str = ""
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    resize: str = ""
    encoding: str = ""
    labels: tuple[str, ...] = ()
    targets: str = ""
    target_channels: int = 0
    ignore: int = -1
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bytes: int = 0
    warnings: tuple[Remark, ...] = ()
    duplicates: Mapping[str, int] = field(default_factory=dict)


def write(folder: str | os.PathLike[str], found: DataSet) -> None:
    """Write dataset.json: when all other files are there."""
    text = json.dumps({"format": FORMAT, **asdict(found)}, indent=1) + "\n"
    files.write_all(Path(folder, NAME), [text.encode()])


def is_one(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder holds a complete data set with its description."""
    return Path(folder, NAME).is_file()


def read(folder: str | os.PathLike[str]) -> DataSet:
    """Return the description of the data set in a folder.

    Errors: UsageError where there is none, FormatError for a file that is damaged or another's.
    """
    path = Path(folder, NAME)
    if not path.is_file():
        raise UsageError(
            f"holds no {NAME}" if Path(folder).is_dir() else "there is no such folder",
            where=str(folder),
            expected="the folder of a data set, as minidl dataset folder makes it",
            fix="minidl dataset store --train STORE --out FOLDER describes stores that are there",
        )
    text = files.read(path, "description of a data set", limit=LARGEST).tobytes()
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise ValueError(f'"format": "{FORMAT}" is missing')
        return _data_set(found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FormatError(f"does not describe a data set: {error}", where=str(path)) from None


def _data_set(found: dict[str, Any]) -> DataSet:
    values = _known(DataSet, found)
    values["splits"] = {
        str(name): Split(**_known(Split, split)) for name, split in found["splits"].items()
    }
    values["warnings"] = tuple(Remark(**_known(Remark, one)) for one in found.get("warnings", ()))
    for name, split in values["splits"].items():
        if split.backend not in BACKENDS or not isinstance(split.records, int):
            raise ValueError(f"the part '{name}' is of the kind {split.backend!r}")
    if values["task"] not in (CLASSIFICATION, PAIRS) or len(values.get("size", (0, 0))) != 2:
        raise ValueError(f"task is {values['task']!r}, size {values.get('size')!r}")
    return DataSet(**values)


def _known(kind: type, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass among these; those of later versions are passed over."""
    names = {f.name for f in fields(kind)}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in found.items() if n in names}


def store(folder: str | os.PathLike[str], split: Split) -> Path:
    """Return where the records of a part are."""
    return Path(folder) / split.store


def target(folder: str | os.PathLike[str], split: Split) -> Path:
    """Return where the second pictures of a part are."""
    return Path(folder) / split.target


# ---------------------------------------------------------------------- labels


def labels_file(folder: str | os.PathLike[str], part: str) -> Path:
    return Path(folder, f"{part}.labels")


def index_file(folder: str | os.PathLike[str], part: str) -> Path:
    """Return where it is written down in which places of a LevelDB the records of a part are."""
    return Path(folder, f"{part}.index.npz")


def write_labels(folder: str | os.PathLike[str], part: str, labels: Sequence[int]) -> None:
    """Write the labels of a part, one a record: they are found here without reading a record."""
    files.write_all(labels_file(folder, part), [np.asarray(labels, LABEL)], own=True)


def read_labels(folder: str | os.PathLike[str], part: str, records: int) -> np.ndarray | None:
    """Return the label of each record of a part, (N,) int32; None where records have none.

    Errors: DataError for a file of another data set.
    """
    path = labels_file(folder, part)
    if not path.is_file():
        return None
    found = np.fromfile(path, LABEL)
    if len(found) != records:
        raise DataError(
            f"holds {len(found):,} labels, but there are {records:,} records",
            where=str(path),
            fix="make the data set again with --force",
        )
    return found
