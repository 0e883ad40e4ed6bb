"""How good answers are, in numbers: ranks, losses, precision and recall, overlap, PSNR.

All of it in NumPy; a batch at a time, so that a data set may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

LEAST = float(np.finfo(np.float32).tiny)  # a probability, in the loss: SoftmaxWithLoss's floor
BEST_PSNR = 100.0  # dB, of a picture without any error
UNKNOWN = -1  # the truth of a record without a label


class Ranked(NamedTuple):
    """Of N records: the best classes, (N, K), best first, and how many beat the truth, (N)."""

    classes: np.ndarray
    rank: np.ndarray


def ranked(scores: np.ndarray, truth: np.ndarray, most: int = 5) -> Ranked:
    """Rank the classes of each record.

    scores   (N, C)
    truth    numbers of the classes, (N); UNKNOWN where it is not known
    most     K, at most C

    A class that ties with the true one counts as better, and scores that are all alike or NaN are
    wrong, as in the Accuracy layer: record i is right among the best k where rank[i] < k.
    """
    count, classes = scores.shape
    most, rows = min(most, classes), np.arange(count)
    known = truth != UNKNOWN
    own = scores[rows, np.where(known, truth, 0)]
    rank = classes - 1 - (scores < own[:, None]).sum(axis=1)
    rank[~known] = classes
    order = _best(scores, min(most + 1, classes))
    # Among equals the truth comes last, so that the first of a row is the truth where rank is 0.
    for i in np.flatnonzero(known & (rank > 0) & (order[:, 0] == truth)):
        order[i, :2] = order[i, 1::-1]
    return Ranked(order[:, :most], rank)


def _best(scores: np.ndarray, most: int) -> np.ndarray:
    """Return the numbers of the `most` best scores of each row, best first, then in order."""
    if most >= scores.shape[1] // 4:
        return np.argsort(-scores, axis=1, kind="stable")[:, :most]
    least = np.partition(scores, -most, axis=1)[:, -most]  # a NaN sorts as the greatest
    if np.isnan(least).any() or ((scores >= least[:, None]).sum(axis=1) != most).any():
        return np.argsort(-scores, axis=1, kind="stable")[:, :most]
    found = np.nonzero(scores >= least[:, None])[1].reshape(-1, most)
    places = np.argsort(-np.take_along_axis(scores, found, 1), axis=1, kind="stable")
    return np.take_along_axis(found, places, 1)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the softmax along axis 1."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the surprise at the truth of each record, (N); NaN where it is not known."""
    known = truth != UNKNOWN
    own = probabilities[np.arange(len(truth)), np.where(known, truth, 0)]
    losses = -np.log(np.maximum(own.astype(np.float64), LEAST))
    return np.where(known, losses, np.nan)


def count_pairs(truth: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix, (C, C): rows the truth, columns the answers. Pairs with a number
    outside 0 to C - 1 are left out."""
    truth, answers = truth.reshape(-1).astype(np.int64), answers.reshape(-1).astype(np.int64)
    inside = (truth >= 0) & (truth < classes) & (answers >= 0) & (answers < classes)
    places = truth[inside] * classes + answers[inside]
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def by_class(confusion: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return records, right answers, precision, recall and F1 of each class.

    None where there is nothing to divide by: no answer, no record.
    """
    result = []
    for i, label in enumerate(labels):
        right = int(confusion[i, i])
        records, answers = int(confusion[i].sum()), int(confusion[:, i].sum())
        both = records + answers
        result.append(
            {
                "label": label,
                "records": records,
                "right": right,
                "precision": right / answers if answers else None,
                "recall": right / records if records else None,
                "f1": 2 * right / both if both else None,
            }
        )
    return result


def overlap(confusion: np.ndarray) -> list[float | None]:
    """Return the intersection over the union of each class; None of one that never occurs."""
    right = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    return [float(r / u) if u else None for r, u in zip(right, union, strict=True)]


def squared_error(pictures: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each of N pictures of any shape."""
    wrong = pictures.astype(np.float64) - targets
    return np.square(wrong).reshape(len(wrong), -1).mean(axis=1)


def psnr(errors: np.ndarray, peak: float = 255.0) -> np.ndarray:
    """Return the peak signal-to-noise ratio, in dB, of mean squared errors: at most BEST_PSNR,
    which is that of pictures without an error."""
    with np.errstate(divide="ignore"):
        return np.minimum(10 * np.log10(peak**2 / np.asarray(errors, np.float64)), BEST_PSNR)
