"""Segmentation: a class for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.evaluation import measures, pictures
from minidl.evaluation.measures import UNKNOWN
from minidl.evaluation.records import decimal, guarded
from minidl.evaluation.restore import Restorer
from minidl.evaluation.subject import Batch, Subject


class Maps:
    """Counts pixels: which class they are taken for, and which they are of."""

    kept: tuple[str, ...] = ("png", "output_png", "target_png")

    def __init__(self, subject: Subject) -> None:
        self.labels: Sequence[str] = subject.labels
        self._subject, self._task = subject, subject.task
        count = len(self.labels)
        self.confusion = np.zeros((count, count), np.int64)
        self._restore = Restorer(subject.transforms[subject.top], rgb=subject.rgb)
        self._loss, self._pixels = 0.0, 0

    @property
    def columns(self) -> list[str]:
        return ["index", "name", "accuracy", "loss"]

    @property
    def dtype(self) -> list[Any]:
        return [("accuracy", "<f4"), ("loss", "<f4")]

    def add(self, batch: Batch) -> tuple[list[list[str]], np.ndarray, dict[str, np.ndarray]]:
        """Count a batch; return its rows, their numbers, and its pictures by name."""
        scores = batch.output
        answers = scores.argmax(axis=1)
        numbers = np.full(len(scores), np.nan, self.dtype)
        shown: dict[str, np.ndarray] = {}
        if batch.seen is not None and batch.seen.ndim == 4:
            shown["png"] = pictures.to_bytes(self._restore(batch.seen))
        if len(self.labels) <= pictures.IGNORED:
            shown["output_png"] = answers.astype(np.uint8)[:, None]
        if batch.truth is not None:
            truth = self._truth(batch.truth, answers.shape)
            shares = measures.softmax(scores) if self._task.then else scores
            for i in range(len(scores)):
                known = truth[i] != UNKNOWN
                if known.any():
                    losses = measures.log_loss(shares[i][:, known].T, truth[i][known])
                    numbers[i] = (answers[i] == truth[i])[known].mean(), losses.mean()
                    self._loss += float(losses.sum())
                    self._pixels += losses.size
            self.confusion += measures.count_pairs(truth, answers, len(self.labels))
            if len(self.labels) <= pictures.IGNORED:
                aims = np.where(truth == UNKNOWN, pictures.IGNORED, truth)
                shown["target_png"] = aims.astype(np.uint8)[:, None]
        rows = [
            [str(batch.first + i), guarded(batch.names[i]), *map(decimal, numbers[i].tolist())]
            for i in range(len(scores))
        ]
        return rows, numbers, shown

    def result(self) -> dict[str, Any]:
        """Return the figures over all pixels; None where there are no targets."""
        found: dict[str, Any] = dict.fromkeys(
            ("accuracy", "loss", "iou", "miou", "confusion", "per_class")
        )
        if not self._pixels:
            return found
        overlaps = measures.overlap(self.confusion)
        known = [value for value in overlaps if value is not None]
        return {
            "accuracy": float(np.trace(self.confusion) / self._pixels),
            "loss": self._loss / self._pixels,
            "iou": overlaps,
            "miou": sum(known) / len(known),
            "confusion": self.confusion.tolist(),
            "per_class": measures.by_class(self.confusion, self.labels),
        }

    def _truth(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        truth = labels.reshape(shape).astype(np.int64)
        if self._task.ignore is None:
            return truth
        return np.where(truth == self._task.ignore, UNKNOWN, truth)
