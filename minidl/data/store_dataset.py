"""A data set of stores that are there: described in place, nothing is copied or changed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.data import described, duplicates, image_mean, making, set_files, surveying, watching
from minidl.data.described import DataSet, Remark, Split
from minidl.data.remarks import SHOWN, remark
from minidl.data.sources import leveldb
from minidl.data.sources.image_list import read_lines
from minidl.data.sources.leveldb.store import LevelDbStore
from minidl.data.surveying import Survey
from minidl.data.watching import Counting, Watch
from minidl.errors import DataError, FormatError
from minidl.storage import files, mean, sniff


class Store(NamedTuple):
    """Where a part is, in which form, and what to write down of it."""

    path: Path
    backend: str
    said: str


def prepare(
    stores: Mapping[str, str | os.PathLike[str]],
    out: str | os.PathLike[str],
    labels: Sequence[str] = (),
    mean_file: str | os.PathLike[str] | None = None,
    watch: Watch = watching.unwatched,
) -> DataSet:
    """Write labels, mean and label files of existing stores; return their description.

    stores      of each part: an LMDB, a LevelDB, an HDF5 file or a list of some
    labels      names of the classes; () for their numbers
    mean_file   of the stores; else the mean of the first part's pictures is taken

    Errors: DataError, FormatError and UsageError for what cannot be read.
    """
    target = Path(out)
    given = None if mean_file is None else mean.read(mean_file)
    placed, surveys = _read(stores, target, watch)
    first = next(iter(surveys.values()))
    names, remarks = _names(labels, surveys)
    shape = _shape(surveys)
    if given is not None and shape is not None and given.shape != shape:
        raise FormatError(
            f"is a mean image of shape {given.shape}, and the pictures have {shape}",
            where=str(mean_file),
            expected="the mean image of these stores",
        )
    set_files.begin(target)
    _put_lists(placed, target)
    _put_indices(surveys, target)
    splits = {}
    for part, store in placed.items():
        found = surveys[part]
        if found.labels is not None:
            described.write_labels(target, part, found.labels.tolist())
        classes = () if found.labels is None else making.by_label(found.labels.tolist(), len(names))
        splits[part] = Split(len(found.names), store.said, store.backend, classes)
    set_files.write_labels(target, names)
    mean_image = first.moments.image() if given is None else given
    if shape is not None:
        image_mean.write(target / set_files.MEAN, mean_image)
        making.write_mean_picture(target, mean_image)
    counts, copies = duplicates.find(
        {part: one.digests for part, one in surveys.items()},
        {part: one.names for part, one in surveys.items()},
        "records",
    )
    return DataSet(
        described.CLASSIFICATION,
        splits,
        source=", ".join(str(path) for path in stores.values()),
        size=(0, 0) if shape is None else shape[1:],
        channels=0 if shape is None else shape[0],
        encoding=first.encoding,
        labels=names,
        mean=making.rounded(mean_image.mean(axis=(1, 2), dtype=np.float64)),
        std=making.rounded(first.moments.deviations()),
        bytes=_bytes(placed, target),
        warnings=(*remarks, *_on_shapes(surveys), *_on_broken(surveys), *copies),
        duplicates=counts,
    )


def _read(
    stores: Mapping[str, str | os.PathLike[str]], target: Path, watch: Watch
) -> tuple[dict[str, Store], dict[str, Survey]]:
    """Return of each part where it is, and what is in it; only the first one is measured."""
    placed: dict[str, Store] = {}
    try:
        for part, path in stores.items():
            placed[part] = _place(part, Path(path), target)
        return placed, {
            part: _survey(store, watch, measured=not i)
            for i, (part, store) in enumerate(placed.items())
        }
    except BaseException:
        for store in placed.values():
            if store.backend == "hdf5":
                store.path.unlink(missing_ok=True)
        raise


def _place(part: str, path: Path, target: Path) -> Store:
    """Return in which form a store is. HDF5 files get a list, which is what their layer reads; as
    long as nothing is known of them, it has a name that begins with a dot."""
    if path.is_file():
        if sniff.is_hdf5(files.head(path, "store")):
            listed = [str(path)]
        else:
            listed = [line for _, line in read_lines(path)]
        name = f"{part}_hdf5.txt"
        lines = "".join(f"{Path(one).resolve()}\n" for one in listed)
        hidden = target / f".{name}"
        files.write_all(hidden, [lines.encode("utf-8", "surrogateescape")], own=True)
        return Store(hidden, "hdf5", name)
    backend = "leveldb" if leveldb.holds_one(path) else "lmdb"
    leveldb.raw(path).close()
    here, there = target.resolve(), path.resolve()
    inside = there.is_relative_to(here)
    return Store(path, backend, there.relative_to(here).as_posix() if inside else str(there))


def _put_lists(placed: Mapping[str, Store], target: Path) -> None:
    for store in placed.values():
        if store.backend == "hdf5":
            store.path.replace(target / store.said)


def _put_indices(surveys: Mapping[str, Survey], target: Path) -> None:
    """Write where the records of a LevelDB are, so that it is opened at once from now on."""
    for part, found in surveys.items():
        if isinstance(found.store, LevelDbStore):
            found.store.save_index(described.index_file(target, part))


def _bytes(placed: Mapping[str, Store], target: Path) -> int:
    """Return the room that the stores take: of HDF5 the files, not their list."""
    paths: list[Path] = []
    for store in placed.values():
        if store.backend == "hdf5":
            paths += [Path(line) for _, line in read_lines(target / store.said)]
        else:
            paths.append(store.path)
    return set_files.bytes_of(target, dict.fromkeys(path.resolve() for path in paths))


def _survey(store: Store, watch: Watch, measured: bool) -> Survey:
    if store.backend == "hdf5":
        rows = surveying.open_rows(store.path)
        try:
            tick = Counting(watch, watching.DESCRIBING, len(rows))
            return surveying.of_rows(rows, tick, measured)
        finally:
            rows.close()
    records = leveldb.raw(store.path)
    try:
        tick = Counting(watch, watching.DESCRIBING, len(records))
        return surveying.of_datums(records, store.path, tick, measured)
    finally:
        records.close()


def _shape(surveys: Mapping[str, Survey]) -> Any:
    """Return the one shape (C, H, W) of all pictures; None if they have several."""
    shapes = {shape for found in surveys.values() for shape in found.shapes}
    return shapes.pop() if len(shapes) == 1 else None


def _names(
    given: Sequence[str], surveys: Mapping[str, Survey]
) -> tuple[tuple[str, ...], list[Remark]]:
    """Return the names of the classes, and what is wrong with the labels."""
    remarks = []
    ranges = {part: surveying.range_of(found.labels) for part, found in surveys.items()}
    for part, found in surveys.items():
        if found.labels is None:
            text = f"the labels of {part} are none, several or real numbers: no classes"
            remarks.append(Remark("label", text))
    most = max((bounds[1] for bounds in ranges.values() if bounds), default=-1)
    if not given:
        given = tuple(map(str, range(most + 1))) if most < making.MOST_CLASSES else ()
    for part, found in surveys.items():
        if found.labels is None:
            continue
        strange = np.flatnonzero((found.labels < 0) | (found.labels >= len(given)))
        if len(strange):
            text = (
                f"{len(strange):,} records of {part} have labels that are not 0 to {len(given) - 1}"
            )
            cases = [f"{found.names[i]}: {found.labels[i]}" for i in strange[:SHOWN]]
            remarks.append(Remark("label", text, len(strange), tuple(cases)))
    return tuple(given), remarks


def _on_shapes(surveys: Mapping[str, Survey]) -> list[Remark]:
    shapes = sum((found.shapes for found in surveys.values()), next(iter(surveys.values())).shapes)
    if len(shapes) < 2:
        return []
    cases = [f"{c} x {h} x {w}" for (c, h, w), _ in shapes.most_common(SHOWN)]
    text = f"the pictures have {len(shapes)} shapes, and nets take one"
    return [Remark("size", text, len(shapes), tuple(cases))]


def _on_broken(surveys: Mapping[str, Survey]) -> list[Remark]:
    sentences = [f"{part}: {s}" for part, found in surveys.items() for s in found.broken]
    if not sentences:
        return []
    text = f"{len(sentences):,} record{'s' * (len(sentences) > 1)} cannot be read"
    return [remark("unreadable", text, sentences)]


def read_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names of classes in a text file, one a line. Errors: DataError."""
    names = tuple(line for _, line in read_lines(Path(path)))
    if not names:
        raise DataError("names no class", where=str(path), expected="names, one a line")
    return names
