"""A data set of pairs of pictures: the code behind `minidl dataset pairs`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.rng import Streams
from minidl.arrays.threads import threads
from minidl.data import (
    described,
    duplicates,
    imageset,
    label_image,
    making,
    picture_folder,
    picture_form,
    set_files,
    watching,
)
from minidl.data.described import DataSet, Remark, Split
from minidl.data.imageset import ahead
from minidl.data.lmdb_writer import Writer
from minidl.data.pair_folders import Pair, match
from minidl.data.picture_folder import PARTS
from minidl.data.picture_form import Form
from minidl.data.remarks import on_others, on_unreadable, remark
from minidl.data.resize import Resize
from minidl.data.sources import datum, image
from minidl.data.watching import Counting, Watch
from minidl.errors import DataError
from minidl.storage import files

log = logging.getLogger("minidl")

IMAGE, CLASSES = "image", "classes"


@dataclass
class Choices(Form):
    """How to make the data set, beside the form of the first pictures.

    targets        IMAGE, or CLASSES: pictures whose pixels are numbers of classes
    target_color   of IMAGE: 3 channels, else 1; None: 1 if no target has colours
    labels         of CLASSES: their names; () for their numbers
    percent        of picture_folder.percentages
    seed           of the split and the order
    """

    targets: str = IMAGE
    target_color: bool | None = None
    labels: Sequence[str] = ()
    percent: dict[str, float] = field(default_factory=lambda: picture_folder.percentages(10, 0))
    seed: int = 0


def prepare(
    inputs: str | os.PathLike[str],
    targets: str | os.PathLike[str],
    out: str | os.PathLike[str],
    choices: Choices,
    watch: Watch = watching.unwatched,
) -> tuple[DataSet, list[str]]:
    """Write two LMDBs for each part, of inputs and of targets in the same order; return their
    description, and a sentence for each pair that was left out.

    The caller writes the descriptions, last. Errors: as of `match`; DataError if no pair of a part
    can be read.
    """
    target = Path(out)
    matched = match(inputs, targets)
    pairs = matched.pairs
    seen = Counting(watch, watching.READING, 2 * len(pairs))
    looks = [picture_folder.look([pair[i] for pair in pairs], seen) for i in (1, 2)]
    bad = looks[0].unreadable | looks[1].unreadable
    unreadable = list(bad.values())
    pairs = [pair for pair in pairs if pair.input not in bad and pair.target not in bad]
    parts = _dealt(pairs, choices)
    first = choices.settled(looks[0])
    forms = first, _target_form(first, looks[1].grey, choices)
    set_files.begin(target)
    written = {}
    tick = Counting(watch, watching.WRITING, len(pairs))
    for part, some in parts.items():
        written[part] = _write(target, part, some, forms, choices.targets, tick)
        unreadable += written[part].broken
    kept = [stores[part] for part in written for stores in (set_files.STORES, set_files.TARGETS)]
    set_files.remove_older(target, kept)
    if choices.targets == IMAGE:
        (target / set_files.LABELS).unlink(missing_ok=True)
    names, remarks = _names(choices, written)
    if choices.targets == CLASSES:
        set_files.write_labels(target, names)
    moments = making.write_mean(target, set_files.STORES["train"], watch)
    found = _described(target, written, forms, choices, names, moments)
    counts, copies = duplicates.find(
        {part: one.digests for part, one in written.items()},
        {part: one.names for part, one in written.items()},
    )
    remarks += [
        *on_unreadable(unreadable),
        *_on_alone(matched.alone),
        *on_others(matched.others),
        *copies,
    ]
    source, warnings = f"{inputs}, {targets}", tuple(remarks)
    return replace(found, source=source, warnings=warnings, duplicates=counts), unreadable


@dataclass
class Written:
    """What is in the two stores of a part; `pixels` has how often each label occurs in targets."""

    names: list[str] = field(default_factory=list)
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    broken: list[str] = field(default_factory=list)


def _dealt(pairs: list[Pair], choices: Choices) -> dict[str, list[Pair]]:
    """Return the pairs of each part, mixed. Errors: DataError if there are too few."""
    shares = picture_folder.counts(len(pairs), choices.percent)
    wanted = [part for part in PARTS if choices.percent[part] > 0]
    order = Streams(choices.seed).generator("pairs", 0).permutation(len(pairs))
    parts, start = {}, 0
    for part, count in zip(PARTS, shares, strict=True):
        parts[part] = [pairs[i] for i in order[start : start + count]]
        start += count
    empty = [part for part in wanted if not parts[part]]
    if empty:
        raise DataError(
            f"there are {len(pairs)} pairs that can be read, and none is left for {empty[0]}",
            expected=f"at least {len(wanted)}",
        )
    return {part: parts[part] for part in wanted}


def _target_form(form: imageset.Form, grey: bool, choices: Choices) -> imageset.Form:
    """Return the form of the targets: as large as the inputs, in the same way.

    Labels are not mixed: the nearest one is taken, and what is beside a picture is ignored. They
    are not stored as JPEG, which would change them.
    """
    assert isinstance(form.resize, Resize)
    size = form.resize.height, form.resize.width
    if choices.targets == IMAGE:
        color = not grey if choices.target_color is None else choices.target_color
        return choices.stored(size, color)
    param = picture_form.resize_param(
        choices.mode, size, filter="NEAREST", fill=[label_image.IGNORE]
    )
    encode = "png" if choices.encode else ""
    return imageset.Form(Resize(param, picture_form.reject), False, bool(encode), encode)


def _write(
    folder: Path,
    part: str,
    pairs: list[Pair],
    forms: tuple[imageset.Form, imageset.Form],
    targets: str,
    tick: Counting,
) -> Written:
    """Write the list and the stores of a part. Errors: DataError if none can be read."""
    found, digests = Written(), []
    lines = "".join(f"{pair.input} {pair.target}\n" for pair in pairs)
    text = lines.encode("utf-8", "surrogateescape")
    files.write_all(folder / set_files.LISTS[part], [text], own=True)
    log.info("Writing %s: %d pairs", folder / set_files.STORES[part], len(pairs))
    with (
        Writer(folder / set_files.STORES[part]) as first,
        Writer(folder / set_files.TARGETS[part]) as second,
    ):
        for pair, made in _made(pairs, forms, targets):
            tick()
            if isinstance(made, DataError):
                found.broken.append(str(made).splitlines()[0])
                continue
            key = f"{len(found.names):08d}_{pair.name}".encode("utf-8", "surrogateescape")
            first.put(key, made.messages[0].SerializeToString())
            second.put(key, made.messages[1].SerializeToString())
            found.names.append(pair.name)
            digests.append(made.digest)
            if targets == CLASSES:
                found.pixels += made.pixels
        if not found.names:
            raise DataError(f"no pair for {part} can be used: {found.broken[0]}", where=str(folder))
    found.digests = np.array(digests, np.uint64)
    return found


class _Made(NamedTuple):
    messages: tuple[Any, Any]
    digest: int
    pixels: np.ndarray


def _made(
    pairs: list[Pair], forms: tuple[imageset.Form, imageset.Form], targets: str
) -> Iterator[tuple[Pair, Any]]:
    """Yield the pairs in order with their Datums, or with the error if one cannot be used."""
    calls = ((n, lambda n=n: _datums(pairs[n], forms, targets)) for n in range(len(pairs)))
    for number, made in ahead(calls, threads()):
        yield pairs[number], made


def _datums(pair: Pair, forms: tuple[imageset.Form, imageset.Form], targets: str) -> Any:
    place = pair.input
    try:
        data = files.read(pair.input, "picture", limit=image.MOST_BYTES).tobytes()
        first = image.decode(data, forms[0].color)
        place = pair.target
        other = files.read(pair.target, "picture", limit=image.MOST_BYTES).tobytes()
        if targets == IMAGE:
            second = image.decode(other, forms[1].color)
        else:
            second = label_image.decode(other)
            if second.shape[1:] != first.shape[1:]:
                sizes = [f"{x.shape[1]} x {x.shape[2]}" for x in (second, first)]
                raise DataError(f"has {sizes[0]} labels for a picture of {sizes[1]}")
        stored = [_stored(x, form) for x, form in zip((first, second), forms, strict=True)]
        pixels = np.zeros(0, np.int64)
        if targets == CLASSES:
            pixels = np.bincount(stored[1][1].ravel(), minlength=256)
        messages = stored[0][0], stored[1][0]
        return _Made(messages, duplicates.digest(data), pixels)
    except DataError as error:
        error.where = error.where or place
        return error


def _stored(pixels: np.ndarray, form: imageset.Form) -> tuple[Any, np.ndarray]:
    assert form.resize is not None
    pixels = form.resize(pixels)
    if form.encoded:
        data = imageset.encode(pixels, form.encode_type)
        return datum.Datum(encoded=True, data=data), pixels
    channels, height, width = pixels.shape
    message = datum.Datum(channels=channels, height=height, width=width, data=pixels.tobytes())
    return message, pixels


# ---------------------------------------------------------------------- description


def _names(
    choices: Choices, written: Mapping[str, Written]
) -> tuple[tuple[str, ...], list[Remark]]:
    """Return the names of the classes in targets, and what is wrong with their labels."""
    if choices.targets == IMAGE:
        return (), []
    pixels = sum(one.pixels for one in written.values())
    labels = np.flatnonzero(np.asarray(pixels)[: label_image.IGNORE])
    most = int(labels.max(initial=0))
    if not choices.labels:
        return tuple(map(str, range(most + 1))), []
    strange = [int(label) for label in labels if label >= len(choices.labels)]
    if not strange:
        return tuple(choices.labels), []
    text = f"targets have labels that are not 0 to {len(choices.labels) - 1}"
    cases = [f"label {label}" for label in strange]
    return tuple(choices.labels), [remark("label", text, cases)]


def _described(
    folder: Path,
    written: Mapping[str, Written],
    forms: tuple[imageset.Form, imageset.Form],
    choices: Choices,
    names: tuple[str, ...],
    moments: tuple[tuple[float, ...], ...],
) -> DataSet:
    resize = forms[0].resize
    assert isinstance(resize, Resize)
    splits = {
        part: Split(
            len(one.names),
            set_files.STORES[part],
            classes=tuple(one.pixels[: len(names)].tolist()),
            target=set_files.TARGETS[part],
        )
        for part, one in written.items()
    }
    ignored = any(one.pixels[label_image.IGNORE] for one in written.values())
    stores = [name for split in splits.values() for name in (split.store, split.target)]
    return DataSet(
        described.PAIRS,
        splits,
        size=(resize.height, resize.width),
        channels=3 if forms[0].color else 1,
        resize=choices.mode,
        encoding=choices.encode,
        labels=names,
        targets=choices.targets,
        target_channels=3 if forms[1].color else 1,
        ignore=label_image.IGNORE if ignored else -1,
        mean=moments[0],
        std=moments[1],
        bytes=set_files.bytes_of(folder, [*stores, set_files.MEAN]),
    )


def _on_alone(paths: Sequence[str]) -> list[Remark]:
    if not paths:
        return []
    text = f"{len(paths):,} picture{'s have' if len(paths) > 1 else ' has'} no partner"
    return [remark("alone", f"{text} and were left out", paths)]
