"""The files in a data set's folder: their names, whose they are, and how they are replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from minidl.data import described
from minidl.data.picture_folder import PARTS
from minidl.data.sources.lmdb import is_lmdb
from minidl.errors import FormatError, UsageError
from minidl.runs import job
from minidl.storage import files, replaceable

LISTS = {part: f"{part}.txt" for part in PARTS}
STORES = {part: f"{part}_lmdb" for part in PARTS}
TARGETS = {part: f"{part}_target_lmdb" for part in PARTS}  # of pairs
LABELS, MEAN, MEAN_PICTURE = "labels.txt", "mean.binaryproto", "mean.png"


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


def write_labels(folder: Path, labels: Sequence[str]) -> None:
    names = "\n".join((*labels, "")).encode("utf-8", "surrogateescape")
    files.write_all(folder / LABELS, [names], own=True)


def bytes_of(folder: Path, stores: Iterable[str | Path]) -> int:
    """Return how much room files, and folders of files, take on the disk."""
    total = 0
    for store in stores:
        place = folder / store
        names = [place] if place.is_file() else [Path(e.path) for e in os.scandir(place)]
        total += sum(path.stat().st_size for path in names if path.is_file())
    return total
