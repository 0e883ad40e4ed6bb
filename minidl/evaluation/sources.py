"""Where the records of an evaluation come from: a part of a data set, as a net's data layers read
it, or pictures in files."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl import schema
from minidl.data import browsing, described
from minidl.data.sources import leveldb
from minidl.data.sources.hdf5 import Hdf5Rows
from minidl.data.sources.image_list import read_lines
from minidl.errors import DataError, FormatError, MinidlError, UsageError, did_you_mean
from minidl.prototxt import deploy
from minidl.prototxt.phases import filter_layers, net_state
from minidl.runs import job

log = logging.getLogger("minidl")
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Origin:
    """Where the picture of a record is found again.

    kind   "store" (LMDB or LevelDB of Datums), "boxes" (of AnnotatedDatums), "hdf5" or "files";
           "" where it is not
    path   of the store, of the list of HDF5 files, or the folder from which names start
    name   of the dataset in HDF5 files
    """

    kind: str = ""
    path: str = ""
    name: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a data set, and the net of phase TEST that reads it.

    name     "val"; "" where the path does not say it
    net      a NetParameter, filtered
    reader   name of its first data layer
    """

    name: str
    net: Any
    reader: str
    records: int
    origin: Origin


def part(
    net: Any, run: Path, name: str = "", data: str = "", level: int = 0, stages: Sequence[str] = ()
) -> Part:
    """Return a part of the data set that a run's net was trained on.

    net    the NetParameter of the run, for training
    name   "train", "val", "test"; "": what the net is tested on
    data   folder of the data set, in place of the run's own

    Errors: UsageError for a part that is absent; DataError for a store that is.
    """
    base = working_folder(run)
    found = filter_layers(net, net_state(schema.TEST, level, stages))
    readers = [layer for layer in found.layer if layer.type in deploy.READERS]
    if not readers:
        raise UsageError(
            "reads no data set in phase TEST",
            where=f"net '{net.name}'",
            expected="a net with a data layer",
            fix="--list FILE, or --folder DIR",
        )
    for layer in found.layer:
        _from(base, layer)
    if name or data:
        train = _train_reader(net, level, stages, base)
        name, stores = _stores(readers, train, name, data)
        for layer, path in zip(readers, stores, strict=False):
            source_of(layer).source = path
    for layer in readers:
        param = source_of(layer)
        for field in ("shuffle", "rand_skip"):
            if hasattr(param, field):
                param.ClearField(field)
    own = source_of(readers[0]).source
    records, origin = _look(readers[0], own)
    return Part(name or _part_of(own), found, readers[0].name, records, origin)


def source_of(layer: Any) -> Any:
    """Return the message of a data layer that names its source."""
    return getattr(layer, deploy.READERS[layer.type])


def working_folder(run: Path) -> Path:
    """Return the folder in which a run ran, from which its relative paths start."""
    with contextlib.suppress(UsageError, FormatError):
        place = run / job.read(run).cwd
        if place.is_dir():
            return place
    return Path()


def labels_of(run: Path, net: Any, named: Sequence[str], count: int) -> list[str]:
    """Return the names of the classes; their numbers where nothing gives as many names.

    named   those of preprocess.json, or none
    """
    found = list(named)
    folder = data_folder(run, net)
    if len(found) != count and folder is not None:
        known = described.read(folder).labels if described.is_one(folder) else ()
        found = list(known) or _lines(folder / "labels.txt")
    return found if len(found) == count else [str(i) for i in range(count)]


def data_folder(run: Path, net: Any) -> Path | None:
    """Return the folder of the data set on which a run was trained; None if it is not known."""
    with contextlib.suppress(UsageError, FormatError):
        needs = job.read(run).needs
        if "data" in needs and (run / needs["data"]).is_dir():
            return Path(os.path.normpath(run / needs["data"]))
    layers = deploy.readers(net)
    if not layers or layers[0].type not in deploy.READERS:
        return None
    path = working_folder(run) / source_of(layers[0]).source
    return path.parent if source_of(layers[0]).source and path.exists() else None


def name_of(key: str, number: int) -> str:
    """Return what to call a record: the path in its key, the key, or its number."""
    return browsing.name_of(key) or str(number)


# ---------------------------------------------------------------------- parts of a data set


def _from(base: Path, layer: Any) -> None:
    """Let the relative paths of a layer start from `base`, where there is such a file."""
    messages = [(layer.transform_param, "mean_file")]
    if layer.type in deploy.READERS:
        messages.append((source_of(layer), "source"))
    for message, field in messages:
        path = getattr(message, field)
        if path and not os.path.isabs(path) and (base / path).exists():
            setattr(message, field, os.path.normpath(base / path))


def _train_reader(net: Any, level: int, stages: Sequence[str], base: Path) -> Any | None:
    kept = filter_layers(net, net_state(schema.TRAIN, level, stages)).layer
    layer = next((x for x in kept if x.type in deploy.READERS), None)
    if layer is not None:
        _from(base, layer)
    return layer


def _part_of(source: str) -> str:
    """Return the part that a source is, by its name; "" if it does not say so."""
    return next((p for p in PARTS if Path(source).name.lower().startswith(p)), "")


def _stores(readers: Sequence[Any], train: Any, name: str, data: str) -> tuple[str, list[str]]:
    """Return the name of a part and its sources: that of the pictures, and of targets if any."""
    own = Path(source_of(readers[0]).source)
    folder = Path(data) if data else own.parent
    if data and not folder.is_dir():
        raise UsageError("there is no such folder", where=data, expected="that of a data set")
    splits = described.read(folder).splits if described.is_one(folder) else {}
    name = name or _part_of(str(own)) or "val"
    if name in splits:
        split = splits[name]
        target = [str(described.target(folder, split))] if split.target else []
        return name, [str(described.store(folder, split)), *target]
    beside = {p: folder / f"{p}_{kind}" for p in PARTS for kind in ("leveldb", "lmdb")}
    beside |= {p: folder / f"{p}_lmdb" for p in PARTS if (folder / f"{p}_lmdb").is_dir()}
    found = {p: str(path) for p, path in beside.items() if path.is_dir()}
    if train is not None and not data:
        found.setdefault("train", source_of(train).source)
        if Path(source_of(train).source) != own and not {"val", "test"} & set(found):
            found["val"] = str(own)
    if name == "val" and name not in found and not data:
        # A data set without a part for validation: what the run was tested on.
        return _part_of(str(own)) or name, [str(own)]
    if name not in found:
        known = sorted({*splits, *found}, key=PARTS.index)
        raise UsageError(
            f"has no part '{name}'",
            where=str(folder),
            expected=", ".join(known) or "the folder of a data set",
            fix="--list FILE, or --folder DIR, for pictures of your own",
        )
    return name, [found[name]]


def _look(layer: Any, path: str) -> tuple[int, Origin]:
    """Return how many records a data layer's source has, and where they are found again."""
    place = Path(path)
    if layer.type in ("Data", "AnnotatedData"):
        store = leveldb.raw(place)
        try:
            kind = "store" if layer.type == "Data" else "boxes"
            return len(store), Origin(kind, os.path.abspath(path))
        finally:
            store.close()
    if layer.type == "HDF5Data":
        rows = Hdf5Rows(place, layer.top)
        rows.close()
        return len(rows), Origin("hdf5", os.path.abspath(path), layer.top[0])
    if layer.type == "ImageData":
        count = sum(1 for _ in read_lines(place))
        return count, Origin("files", os.path.abspath(layer.image_data_param.root_folder or "."))
    raise UsageError(
        f"is a {layer.type} layer, whose records are not counted",
        where=f"layer '{layer.name}'",
        expected="Data, AnnotatedData, ImageData or HDF5Data",
        fix="--list FILE, or --folder DIR",
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines() if path.is_file() else []
    except (OSError, UnicodeDecodeError):
        return []


# ---------------------------------------------------------------------- pictures in files


@dataclass(frozen=True)
class Named:
    """A picture in a file, and the class that it shows: a number, a label, or None."""

    path: str
    truth: int | str | None = None


def listed(path: str, root: str = "") -> list[Named]:
    """Return the pictures of a list: a path a line, and after a blank the number of its class.

    root   put before relative paths; without it they start from the current folder

    Errors: DataError.
    """
    found = []
    for _, line in read_lines(Path(path)):
        words = line.rsplit(None, 1)
        number = int(words[1]) if len(words) == 2 and words[1].isdecimal() else None
        name = line if number is None else words[0]
        found.append(Named(os.path.join(root, name) if root else name, number))
    if not found:
        raise DataError("lists no picture", where=path, expected="lines such as 'cat.jpg 3'")
    return found


def in_folder(folder: str) -> list[Named]:
    """Return the pictures in a folder, at any depth; those of a folder in it are of its class.

    Errors: UsageError.
    """
    from minidl.data import picture_folder

    place = Path(folder)
    if not place.is_dir():
        raise UsageError("there is no such folder", where=folder, expected="a folder of pictures")
    loose = sorted(
        path
        for path in place.iterdir()
        if path.is_file()
        and not path.name.startswith(".")
        and path.suffix.lower() in picture_folder.ENDINGS
    )
    found = [Named(str(path)) for path in loose]
    if any(path.is_dir() for path in place.iterdir()):
        with contextlib.suppress(MinidlError):  # folders without pictures
            for classes in picture_folder.find(folder).parts.values():
                for name, paths in classes.items():
                    found += [Named(path, name) for path in paths]
    if not found:
        raise UsageError("has no pictures", where=folder)
    return found


def numbered(pictures: Iterable[Named], labels: Sequence[str], where: str) -> list[Named]:
    """Return the pictures with the numbers of their classes.

    A folder that is called like no class says nothing about its pictures. Errors: UsageError for a
    number that is no class's.
    """
    pictures = list(pictures)
    numbers = {label: i for i, label in enumerate(labels)}
    folders = sorted({one.truth for one in pictures if isinstance(one.truth, str)})
    for name in (name for name in folders if name not in numbers):
        hint = did_you_mean(name, labels)
        log.warning("no class is called '%s': its pictures do not count. %s", name, hint)
    found = []
    for one in pictures:
        truth = numbers.get(one.truth) if isinstance(one.truth, str) else one.truth
        if truth is not None and not 0 <= truth < len(labels):
            raise UsageError(
                f"'{one.path}' is of class {truth}",
                where=where,
                expected=f"0 to {len(labels) - 1}, as the net has {len(labels)} classes",
            )
        found.append(Named(one.path, truth))
    return found
