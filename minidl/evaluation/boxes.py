"""Detection: boxes of objects, and how many of them are right."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.evaluation.records import decimal, guarded
from minidl.evaluation.subject import Batch, Subject
from minidl.solver import detection
from minidl.storage import files

FOUND, TRUTH, TABLE = "boxes.npy", "objects.npy", "boxes.csv"
OVERLAP = 0.5  # of a right box with its object: intersection over union
VERSION = "MaxIntegral"  # of the average precision: that of PASCAL VOC 2012
EDGES = ("x1", "y1", "x2", "y2")
DTYPE = np.dtype(
    [("record", "<i8"), ("class", "<i4"), ("score", "<f4"), ("box", "<f4", (4,)), ("right", "i1")]
)


def found_in(rows: np.ndarray) -> np.ndarray:
    """Return the boxes in a top of DetectionOutput, of DTYPE; `record` is the item's number.

    rows   (1, 1, K, 7): item, class, score, xmin, ymin, xmax, ymax; from -1 on they mean nothing
    """
    rows = rows.reshape(-1, 7)
    rows = rows[(rows[:, 0] >= 0) & (rows[:, 1] >= 0)]
    boxes = np.zeros(len(rows), DTYPE)
    boxes["record"], boxes["class"] = rows[:, 0], rows[:, 1]
    boxes["score"], boxes["box"] = rows[:, 2], rows[:, 3:]
    return boxes


def objects_in(rows: np.ndarray) -> np.ndarray:
    """Return the objects in a top of AnnotatedData, of DTYPE; `right` is -1 of difficult ones.

    rows   (1, 1, G, 8): item, class, instance, xmin, ymin, xmax, ymax, difficult
    """
    rows = rows.reshape(-1, 8)
    rows = rows[rows[:, 0] >= 0]
    boxes = np.zeros(len(rows), DTYPE)
    boxes["record"], boxes["class"], boxes["score"] = rows[:, 0], rows[:, 1], 1
    boxes["box"], boxes["right"] = rows[:, 3:7], np.where(rows[:, 7] > 0, -1, 1)
    return boxes


def judge(found: np.ndarray, objects: np.ndarray) -> None:
    """Set `right` of the boxes in one picture: 1 right, 0 wrong, -1 of no account.

    From the surest box on, one is right if the object of its class that it overlaps most is not
    taken yet and overlaps by OVERLAP; one upon a difficult object is of no account.
    """
    taken: set[int] = set()
    for i in np.argsort(-found["score"], kind="stable"):
        own = np.flatnonzero(objects["class"] == found["class"][i])
        found["right"][i] = 0
        if not len(own):
            continue
        shared = overlaps(found["box"][i], objects["box"][own])
        best = int(own[shared.argmax()])
        if shared.max() < OVERLAP:
            continue
        if objects["right"][best] < 0:
            found["right"][i] = -1
        elif best not in taken:
            taken.add(best)
            found["right"][i] = 1


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over the union of a box with each of (M, 4) others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = (high - low).clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).clip(0).prod(axis=1)
    union = (box[2:] - box[:2]).clip(0).prod() + areas - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def named(labels: Sequence[str], number: int) -> str:
    """Return the name of a class; its number where there is none."""
    return labels[number] if number < len(labels) else str(number)


def listed(boxes: np.ndarray, labels: Sequence[str]) -> list[list[Any]]:
    """Return boxes as [label, score, x1, y1, x2, y2], from 0 to 1 of width and height, the surest
    first."""
    order = boxes[np.argsort(-boxes["score"], kind="stable")]
    return [[named(labels, int(b["class"])), float(b["score"]), *b["box"].tolist()] for b in order]


class Boxes:
    """Collects the boxes that a detector finds, and the objects that are there."""

    kept: tuple[str, ...] = ()

    def __init__(self, subject: Subject) -> None:
        self.labels = subject.labels
        self._found: list[np.ndarray] = []
        self._objects: list[np.ndarray] = []
        self._judged = False

    @property
    def columns(self) -> list[str]:
        return ["index", "name", "objects", "found", "right"]

    @property
    def dtype(self) -> list[Any]:
        return [("objects", "<i4"), ("found", "<i4"), ("right", "<i4")]

    def add(self, batch: Batch) -> tuple[list[list[str]], np.ndarray, dict[str, np.ndarray]]:
        """Count a batch; return its rows, their numbers, and no pictures."""
        count, known = len(batch.names), batch.truth is not None
        found = _own(found_in(batch.output), count)
        objects = _own(objects_in(batch.truth), count) if batch.truth is not None else found[:0]
        numbers = np.full(count, -1, self.dtype)
        for i in range(count):
            own = found["record"] == i
            numbers["found"][i] = own.sum()
            if known:
                some, there = found[own], objects[objects["record"] == i]
                judge(some, there)
                found["right"][own] = some["right"]
                numbers["objects"][i] = (there["right"] > 0).sum()
                numbers["right"][i] = (some["right"] > 0).sum()
        self._judged |= known
        for boxes, all_boxes in ((found, self._found), (objects, self._objects)):
            boxes["record"] += batch.first
            all_boxes.append(boxes)
        rows = [
            [
                str(batch.first + i),
                guarded(batch.names[i]),
                *("" if n < 0 else str(n) for n in numbers[i].tolist()),
            ]
            for i in range(count)
        ]
        return rows, numbers, {}

    def result(self) -> dict[str, Any]:
        """Return the mean average precision, and that of each class; None without objects."""
        if not self._judged:
            return {"map": None, "map_version": VERSION, "per_class": None}
        found, objects = self._all(self._found), self._all(self._objects)
        counting = objects[objects["right"] > 0]
        rows = [
            (-1, c, (counting["class"] == c).sum(), -1, -1) for c in np.unique(counting["class"])
        ]
        rows += [
            (b["record"], b["class"], b["score"], b["right"] > 0, b["right"] == 0) for b in found
        ]
        table = np.array(rows, np.float64).reshape(-1, detection.COLUMNS)
        classes = detection.average_precisions(table, VERSION)
        return {
            "map": detection.mean_of(classes),
            "map_version": VERSION,
            "per_class": [
                {
                    "label": named(self.labels, number),
                    "objects": int((counting["class"] == number).sum()),
                    "found": int((found["class"] == number).sum()),
                    "right": int(((found["class"] == number) & (found["right"] > 0)).sum()),
                    "ap": value,
                }
                for number, value in classes.items()
            ],
        }

    def write(self, folder: Path) -> None:
        """Write boxes.csv, a row for each box, and the arrays for questions."""
        found, objects = self._all(self._found), self._all(self._objects)
        for name, boxes in ((FOUND, found), (TRUTH, objects)):
            with files.replacing(folder / name, own=True) as file:
                np.save(file, boxes)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["index", "label", "score", *EDGES, "right"])
        for box in found:
            label = guarded(named(self.labels, int(box["class"])))
            right = {1: "1", 0: "0"}.get(int(box["right"]), "") if self._judged else ""
            numbers = map(decimal, (box["score"], *box["box"]))
            table.writerow([str(box["record"]), label, *numbers, right])
        files.write_all(folder / TABLE, [text.getvalue().encode()], own=True)

    def _all(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts) if parts else np.empty(0, DTYPE)


def stored(folder: Path, numbers: list[int], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return the boxes that were found in these records, and the objects that are there."""
    arrays = {
        "boxes": np.load(folder / FOUND, mmap_mode="r", allow_pickle=False),
        "objects": np.load(folder / TRUTH, mmap_mode="r", allow_pickle=False),
    }
    result = []
    for number in numbers:
        item = {}
        for name, boxes in arrays.items():
            first, last = np.searchsorted(boxes["record"], (number, number + 1))
            item[name] = listed(np.array(boxes[first:last]), labels)
        result.append(item)
    return result


def _own(boxes: np.ndarray, count: int) -> np.ndarray:
    """Return the boxes of the first `count` items, item by item."""
    boxes = boxes[boxes["record"] < count]
    return boxes[np.argsort(boxes["record"], kind="stable")]
