"""A data set of the pictures in a folder: the code behind `minidl dataset folder`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minidl.data import making, picture_folder, picture_form, set_files, watching
from minidl.data.making import Made
from minidl.data.picture_folder import PARTS, Dealt, Found
from minidl.data.picture_form import Form
from minidl.data.remarks import on_others, on_unreadable, remark
from minidl.data.watching import Watch
from minidl.errors import DataError

log = logging.getLogger("minidl")


@dataclass
class Choices(Form):
    """How to make the data set, beside the form of the pictures.

    percent      of picture_folder.percentages
    least, most  pictures of a class
    seed         of the split and the order
    other        folders that have the pictures of "val" and "test"; `percent` is then for the rest
    bounds       (least, most) pictures of a class in these
    """

    percent: dict[str, float] = field(default_factory=lambda: picture_folder.percentages(25, 0))
    least: int = 2
    most: int | None = None
    seed: int = 0
    other: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)


def prepare(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    choices: Choices,
    watch: Watch = watching.unwatched,
    own: bool = False,
) -> Made:
    """Write OUT/train_lmdb, val_lmdb and test_lmdb, the lists of what is in them, labels and mean.

    own   what is in OUT was checked (`set_files.check`), and may be replaced

    The caller writes the descriptions, last. Errors: DataError and UsageError; files that are not
    pictures are listed in the result.
    """
    target = Path(out)
    if not own:
        set_files.check(target)
    found = _find(folder, choices)
    looks = making.look(_all_paths(found), watch)
    for classes in found.parts.values():
        for name, paths in list(classes.items()):
            classes[name] = [path for path in paths if path not in looks.unreadable]
    dealt, few = _dealt(found, choices)
    labels = tuple(sorted({name for name in dealt["train"] if dealt["train"][name]}))
    if len(labels) < 2:
        raise DataError(
            f"has {len(labels)} classes with enough readable pictures",
            where=str(folder),
            expected="at least two",
            fix=f"too few: {', '.join(few)}; see --min" if few else "",
        )
    strangers = _strangers(dealt, labels, few)
    parts = {}
    for part in PARTS:
        classes = {name: dealt[part].get(name, []) for name in labels}
        if pairs := picture_folder.shuffled(classes, list(labels), choices.seed):
            parts[part] = pairs
    form = choices.settled(looks)
    set_files.begin(target)
    written, broken = making.write_parts(target, parts, form, watch)
    set_files.remove_older(target, [set_files.STORES[part] for part in written])
    set_files.write_labels(target, labels)
    moments = making.write_mean(target, set_files.STORES["train"], watch)
    unreadable = [*looks.unreadable.values(), *broken]
    remarks = [
        *([remark("few", _few_in_words(few), _counted(few))] if few else []),
        *([remark("few", _strange(strangers), strangers)] if strangers else []),
        *on_unreadable(unreadable),
        *on_others(found.others),
    ]
    described = making.describe(
        target,
        written,
        labels,
        form,
        moments,
        remarks,
        source=str(folder),
        resize=choices.mode,
    )
    by_class = dict(
        zip(
            labels,
            map(sum, zip(*(s.classes for s in described.splits.values()), strict=True)),
            strict=True,
        )
    )
    size = described.size
    return Made(
        labels,
        {part: len(one.paths) for part, one in written.items()},
        by_class,
        few,
        unreadable,
        dict(found.others),
        picture_form.resize_param(choices.mode, size),
        moments[0],
        described,
    )


def _find(folder: str | os.PathLike[str], choices: Choices) -> Found:
    """Return the pictures of the folder, and of those for validation and test."""
    found = picture_folder.find(folder)
    if choices.other and "" in found.parts:
        found.parts["train"] = found.parts.pop("")
    for part, place in choices.other.items():
        more = picture_folder.find(place)
        if "" not in more.parts:
            raise DataError(
                f"has folders called {', '.join(more.parts)}",
                where=place,
                expected="a folder for each class",
            )
        found.parts[part] = more.parts[""]
        found.others.update(more.others)
    return found


def _all_paths(found: Found) -> list[str]:
    return [p for classes in found.parts.values() for paths in classes.values() for p in paths]


def _dealt(found: Found, choices: Choices) -> tuple[Dealt, dict[str, int]]:
    """Return pictures by part and class: dealt by percentages, or as the folder is split.

    A part with pictures of its own gets none of those that are dealt.
    """
    own = [part for part in ("val", "test") if part in found.parts]
    percent = dict(choices.percent)
    if own and not choices.other:
        percent = {"train": 100.0, "val": 0.0, "test": 0.0}
    for part in own:
        percent["train"] += percent[part]
        percent[part] = 0.0
    whole = found.parts["" if "" in found.parts else "train"]
    dealt, few = picture_folder.deal(whole, percent, choices.seed, choices.least, choices.most)
    for part in own:
        least, most = choices.bounds.get(part, (1, None))
        alone = {name: 100.0 if name == part else 0.0 for name in PARTS}
        some, less = picture_folder.deal(found.parts[part], alone, choices.seed, least, most)
        dealt[part] = some[part] if part in choices.bounds else found.parts[part]
        few |= {f"{name} in {part}": count for name, count in less.items()}
    return dealt, few


def _strangers(dealt: Dealt, labels: tuple[str, ...], few: Mapping[str, int]) -> list[str]:
    """Return the classes that nothing is learned of, and so are left out; warn of them."""
    found = []
    for part in ("val", "test"):
        for name in sorted(set(dealt[part]) - set(labels) - set(few)):
            log.warning("%s: class '%s' is not in the training part, and is left out", part, name)
            found.append(f"{part}: {name}")
    return found


def _counted(few: Mapping[str, int]) -> list[str]:
    return [f"{name} ({count})" for name, count in few.items()]


def _few_in_words(few: Mapping[str, int]) -> str:
    if len(few) == 1:
        return "1 class has too few pictures and was left out"
    return f"{len(few):,} classes have too few pictures and were left out"


def _strange(names: list[str]) -> str:
    if len(names) == 1:
        return "1 class is not in the training part and was left out"
    return f"{len(names):,} classes are not in the training part and were left out"
