"""Classification: which class each record is taken for, and how good that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.evaluation import measures
from minidl.evaluation.measures import UNKNOWN
from minidl.evaluation.records import decimal, guarded
from minidl.evaluation.subject import Batch

MOST = 5  # classes that are kept of a record
PLACES = ("predicted", "second", "third", "fourth", "fifth")
LARGEST = 1000  # classes whose confusion matrix is part of evaluation.json


class Classes:
    """Counts what a classifier answers.

    labels    names of the classes
    softmax   whether the outputs are scores, still to become probabilities
    ignore    a label that does not count; None: all do
    """

    def __init__(self, labels: Sequence[str], softmax: bool, ignore: int | None = None) -> None:
        self.labels, self._softmax, self._ignore = list(labels), softmax, ignore
        self._guarded = [guarded(label) for label in labels]
        count = len(labels)
        self.most = min(MOST, count)
        self.confusion = np.zeros((count, count), np.int64)
        self._known = self._first = self._five = 0
        self._loss = 0.0

    @property
    def columns(self) -> list[str]:
        """The columns of predictions.csv."""
        places = [(name, f"{name}_score") for name in PLACES[1 : self.most]]
        more = [column for pair in places for column in pair]
        return ["index", "name", "truth", "predicted", "score", *more, "loss"]

    @property
    def dtype(self) -> list[Any]:
        shape = (self.most,)
        return [
            ("truth", "<i4"),
            ("classes", "<i4", shape),
            ("scores", "<f4", shape),
            ("loss", "<f4"),
        ]

    kept: tuple[str, ...] = ()

    def add(self, batch: Batch) -> tuple[list[list[str]], np.ndarray, dict[str, np.ndarray]]:
        """Count a batch; return its rows for the table, their numbers, and no pictures."""
        scores = batch.output.reshape(len(batch.names), -1)
        truth = self._truth(batch)
        shares = measures.softmax(scores) if self._softmax else scores
        found = measures.ranked(scores, truth, self.most)
        losses = measures.log_loss(shares, truth)
        best = np.take_along_axis(shares, found.classes, 1)
        known = truth != UNKNOWN
        self._known += int(known.sum())
        self._first += int((found.rank[known] < 1).sum())
        self._five += int((found.rank[known] < MOST).sum())
        self._loss += float(losses[known].sum())
        self.confusion += measures.count_pairs(truth, found.classes[:, 0], len(self.labels))
        numbers = np.empty(len(scores), self.dtype)
        numbers["truth"], numbers["classes"] = truth, found.classes
        numbers["scores"], numbers["loss"] = best, losses
        return self._rows(batch, numbers), numbers, {}

    def result(self) -> dict[str, Any]:
        """Return the figures; None for those that need labels where there are none."""
        count = self._known
        return {
            "labelled": count,
            "top1": self._first / count if count else None,
            "top5": self._five / count if count and len(self.labels) > MOST else None,
            "loss": self._loss / count if count else None,
            "confusion": self.confusion.tolist() if count and self.most_fits else None,
            "per_class": measures.by_class(self.confusion, self.labels) if count else None,
        }

    @property
    def most_fits(self) -> bool:
        """Whether the confusion matrix is small enough for evaluation.json."""
        return len(self.labels) <= LARGEST

    def _truth(self, batch: Batch) -> np.ndarray:
        if batch.truth is None:
            return np.full(len(batch.names), UNKNOWN)
        truth = batch.truth.reshape(len(batch.names), -1)[:, 0].astype(np.int64)
        return truth if self._ignore is None else np.where(truth == self._ignore, UNKNOWN, truth)

    def _rows(self, batch: Batch, numbers: np.ndarray) -> list[list[str]]:
        known = [*self._guarded, ""]  # the last one of UNKNOWN, which is -1
        truth, losses = numbers["truth"].tolist(), numbers["loss"].tolist()
        classes, scores = numbers["classes"].tolist(), numbers["scores"].tolist()
        rows = []
        for i, name in enumerate(batch.names):
            row = [str(batch.first + i), guarded(name), known[truth[i]]]
            for number, score in zip(classes[i], scores[i], strict=True):
                row += known[number], decimal(score)
            rows.append([*row, decimal(losses[i])])
        return rows
