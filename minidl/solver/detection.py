"""The mean average precision of detections: what a test with eval_type "detection" computes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import SolverError

log = logging.getLogger("minidl")

COLUMNS = 5  # of DetectionEvaluate's top
HEAD = -1  # the image of a row that says how many objects a class has


def precision_and_recall(
    scores: np.ndarray, right: np.ndarray, objects: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of right ones, after each detection, best score first: of them, of all.

    In float32, in which Caffe's fork decides whether 9 of 10 are nine tenths (they are not).
    """
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    counts = np.arange(1, len(hits) + 1)
    return (hits / counts).astype(np.float32), (hits / objects).astype(np.float32)


def eleven_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """Average the best precision from each tenth of recall on (PASCAL VOC 2007)."""
    reached = recall.astype(np.float64)  # with a plain float, NumPy would round that to float32 too
    return float(sum(precision[reached >= j / 10].max(initial=0) for j in range(11)) / 11)


def max_integral(precision: np.ndarray, recall: np.ndarray) -> float:
    """Integrate, with at each recall the best precision from there on (VOC 2012, ILSVRC)."""
    return integral(np.maximum.accumulate(precision[::-1])[::-1], recall)


def integral(precision: np.ndarray, recall: np.ndarray) -> float:
    """Integrate precision over recall, which begins at 0."""
    return float(precision @ np.diff(recall, prepend=np.float32(0)))


VERSIONS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "11point": eleven_points,
    "MaxIntegral": max_integral,
    "Integral": integral,
}


class Detections:
    """Collects a test's outputs, rows of DetectionEvaluate, batch by batch.

    version   a key of VERSIONS
    where     the solver, for messages

    classes   for each output, and each class of it, its average precision, once `figures` were made
    """

    def __init__(self, version: str, where: str) -> None:
        self._version, self._where = version, where
        self._rows: dict[str, list[np.ndarray]] = {}
        self.classes: dict[str, dict[int, float]] = {}

    def add(self, name: str, array: np.ndarray) -> None:
        """Add what the output `name` is after a batch. Errors: SolverError for other arrays."""
        if array.ndim != 4 or array.shape[-1] != COLUMNS:
            raise SolverError(
                f"the output '{name}' has the shape {array.shape}",
                where=self._where,
                expected=f"(1, 1, rows, {COLUMNS}), the top of a DetectionEvaluate layer, as "
                'eval_type: "detection" reads it',
                fix=f"a Silence layer for '{name}', or eval_type: \"classification\"",
            )
        self._rows.setdefault(name, []).append(array.reshape(-1, COLUMNS))

    def figures(self, batches: int) -> dict[str, Any]:
        """Return the mean average precision of each output."""
        self.classes = {
            name: average_precisions(np.concatenate(rows), self._version)
            for name, rows in self._rows.items()
        }
        return {name: mean_of(classes) for name, classes in self.classes.items()}


def mean_of(classes: dict[int, float]) -> float:
    return sum(classes.values()) / len(classes) if classes else 0.0


def average_precisions(rows: np.ndarray, version: str) -> dict[int, float]:
    """Return the average precision of each class, from rows of DetectionEvaluate, (R, 5).

    0 of a class without objects, or without detections; those that are neither right nor wrong do
    not count.
    """
    heads, found = rows[rows[:, 0] == HEAD], rows[rows[:, 0] != HEAD]
    found = found[(found[:, 3] != 0) | (found[:, 4] != 0)]
    result = {}
    for label in np.unique(heads[:, 1]).astype(int).tolist():
        objects = int(heads[heads[:, 1] == label, 2].sum())
        own = found[found[:, 1] == label]
        if not len(own):
            log.warning("class %d: nothing was detected", label)
        if not (len(own) and objects):
            result[label] = 0.0
            continue
        result[label] = VERSIONS[version](*precision_and_recall(own[:, 2], own[:, 3], objects))
    return result
