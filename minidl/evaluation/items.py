"""The records behind a figure: those of a cell of the confusion matrix, the worst, the best."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import FormatError, UsageError, did_you_mean
from minidl.evaluation import boxes, kept, pictures, records, run, task
from minidl.evaluation.measures import UNKNOWN
from minidl.evaluation.sources import Origin

LARGEST = 1 << 30  # bytes of evaluation.json
SORTS = ("index", "confident", "unsure", "loss")


@dataclass(frozen=True)
class Choice:
    """Which records to show, and in which order.

    truth, predicted   names or numbers of classes; "": any
    wrong              True: those answered wrongly; False: rightly; None: any
    sort               "index"; "confident" or "unsure", by the score of the answer; "loss", the
                       worst first
    best_per_class     instead: of each class that many of those taken for it, the surest first
    indices            instead: these records
    offset, count      which of them
    """

    truth: str = ""
    predicted: str = ""
    wrong: bool | None = None
    sort: str = "index"
    best_per_class: int = 0
    indices: Sequence[int] = ()
    offset: int = 0
    count: int = 50


class Evaluation:
    """An evaluation that was written to a folder, opened for questions.

    facts   evaluation.json

    Errors: UsageError for a folder without one; FormatError for a damaged one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.facts = read(folder)
        self._rows = records.Reader(folder)
        self.labels: list[str] = list(self.facts.get("labels", []))

    def items(self, choice: Choice, side: int | None = pictures.SIDE) -> dict[str, Any]:
        """Return {"total", "offset", "items"}: how many records there are, and some of them.

        side   of the pictures, in pixels, at most; None: no pictures

        Errors: UsageError for classes that the net does not have, and for a sort without figures.
        """
        chosen = self.chosen(choice)
        some = chosen[choice.offset : choice.offset + choice.count].tolist()
        names = self._rows.names(some)
        items = [self._item(i, name) for i, name in zip(some, names, strict=True)]
        if self.facts["task"] == task.BOXES:
            found = boxes.stored(self.folder, some, self.labels)
            items = [item | more for item, more in zip(items, found, strict=True)]
        if side is not None:
            self._add_pictures(items, side)
        return {"total": len(chosen), "offset": choice.offset, "items": items}

    def chosen(self, choice: Choice) -> np.ndarray:
        """Return the numbers of the records, in order."""
        if choice.indices:
            self._check(choice.indices)
            return np.array(choice.indices)
        if choice.best_per_class:
            return self._best(choice.best_per_class)
        numbers = self._rows.numbers
        wanted = np.ones(len(numbers), bool)
        if self.facts["task"] == task.CLASSES:
            answers, truth = numbers["classes"][:, 0], numbers["truth"]
            for name, values in ((choice.truth, truth), (choice.predicted, answers)):
                if name:
                    wanted &= values == self._class(name)
            if choice.wrong is not None:
                wanted &= (truth != UNKNOWN) & ((answers != truth) == choice.wrong)
        elif choice.truth or choice.predicted or choice.wrong is not None:
            raise UsageError(
                f"is of the task {self.facts['task']}",
                where=str(self.folder),
                expected=f"that of a {task.CLASSES} for a choice by classes",
            )
        found = np.flatnonzero(wanted)
        keys = self._keys(choice.sort, found)
        return found if keys is None else found[np.argsort(keys, kind="stable")]

    def _keys(self, sort: str, found: np.ndarray) -> np.ndarray | None:
        """Return numbers by which to sort, the least first; NaN come last."""
        numbers = self._rows.numbers
        if sort == "index":
            return None
        if sort == "loss" and "loss" in (numbers.dtype.names or ()):
            return np.asarray(-numbers["loss"][found])
        if sort in ("confident", "unsure") and "scores" in (numbers.dtype.names or ()):
            sign = -1 if sort == "confident" else 1
            return np.asarray(sign * numbers["scores"][found, 0])
        raise UsageError(
            f"cannot sort by '{sort}'",
            where=str(self.folder),
            expected=", ".join(SORTS) if sort not in SORTS else "index, for this task",
        )

    def _best(self, each: int) -> np.ndarray:
        if self.facts["task"] != task.CLASSES:
            raise UsageError("has no classes", where=str(self.folder), expected=task.CLASSES)
        numbers = self._rows.numbers
        answers, scores = numbers["classes"][:, 0], numbers["scores"][:, 0]
        order = np.lexsort((np.arange(len(answers)), -scores, answers))
        ordered = answers[order]
        starts = np.searchsorted(ordered, np.arange(len(self.labels)))
        place = np.arange(len(order)) - starts[ordered]  # among those of its class
        return np.asarray(order[place < each])

    def _class(self, name: str) -> int:
        """Return the number of a class by its name, or by its number."""
        if name in self.labels:
            return self.labels.index(name)
        if name.isdecimal() and int(name) < len(self.labels):
            return int(name)
        raise UsageError(
            f"there is no class '{name}'",
            where=str(self.folder),
            expected=f"a name, or 0 to {len(self.labels) - 1}",
            fix=did_you_mean(name, self.labels),
        )

    def _check(self, indices: Sequence[int]) -> None:
        bad = [i for i in indices if not 0 <= i < len(self._rows)]
        if bad:
            raise UsageError(
                f"has no record {bad[0]}",
                where=str(self.folder),
                expected=f"0 to {len(self._rows) - 1}",
            )

    def _item(self, index: int, name: str) -> dict[str, Any]:
        numbers = self._rows.numbers[index]
        item: dict[str, Any] = {"index": index, "name": name}
        if self.facts["task"] == task.CLASSES:
            truth = int(numbers["truth"])
            pairs = zip(numbers["classes"].tolist(), numbers["scores"].tolist(), strict=True)
            top = [[self.labels[number], score] for number, score in pairs]
            item["truth"] = None if truth == UNKNOWN else self.labels[truth]
            item |= {"predicted": top[0][0], "score": top[0][1], "top": top}
            item["loss"] = float(numbers["loss"])
            return item
        for figure in numbers.dtype.names:
            if figure != "at":
                item[figure] = numbers[figure].item()
        return item

    def _add_pictures(self, items: list[dict[str, Any]], side: int) -> None:
        """Add "png" and "size" to each item; "why_not", a sentence, where there is no picture.

        Of pictures that were kept also "output_png" and "target_png".
        """
        if self.facts["task"] in (task.PICTURES, task.PIXELS):
            self._add_kept(items, side)
            return
        origin = self.facts.get("origin", {})
        path = os.path.normpath(self.folder / origin.get("path", ""))
        places = [(item["index"], item["name"]) for item in items]
        given = Origin(origin.get("kind", ""), path, origin.get("name", ""))
        found = pictures.found(given, places)
        for item, picture in zip(items, found, strict=True):
            if isinstance(picture, str):
                item |= {"png": None, "why_not": picture}
            else:
                item |= {"png": pictures.png(picture, side), "size": list(picture.shape[1:])}

    def _add_kept(self, items: list[dict[str, Any]], side: int) -> None:
        found = kept.stored(self.folder, [item["index"] for item in items])
        for item, arrays in zip(items, found, strict=True):
            for name, array in arrays.items():
                mapped = self.facts["task"] == task.PIXELS and name != "png"
                item[name] = (pictures.png_of_classes if mapped else pictures.png)(array, side)
                item["size"] = list(array.shape[-2:])
            if not arrays:
                count = self.facts.get("kept", 0)
                item |= {"png": None, "why_not": f"pictures were kept of the first {count:,} only"}


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the evaluation.json of a folder. Errors: UsageError without one; FormatError."""
    path = Path(folder, run.NAME)
    if not path.is_file():
        raise UsageError(
            f"holds no {run.NAME}",
            where=str(folder),
            expected="the folder that minidl evaluate wrote to",
        )
    try:
        found = json.loads(path.read_bytes()[:LARGEST])
        if found["format"] != run.FORMAT or not isinstance(found["task"], str):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            "is not an evaluation", where=str(path), expected=f'"{run.FORMAT}"'
        ) from None
    return dict(found)
