"""How often scores are right, and which classes are confused with which: text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MATRIX = 20  # classes that a matrix has room for
MISTAKES = 10  # listed if there are more
WIDTH = 16  # of names


def report(scores: Any, truth: Any, labels: Sequence[str]) -> list[str]:
    """Return the share of right answers, and a table with a row for each class that occurs.

    scores   (N, classes)
    truth    numbers of the classes, (N)
    labels   names of the classes

    Rows of the matrix are the true classes, columns the net's answers.
    """
    import numpy as np

    count, classes = scores.shape
    order = np.argsort(-scores, axis=1, kind="stable")
    right = order[:, 0] == truth
    line = f"accuracy {right.mean():.4f} ({right.sum():,} of {count:,})"
    if classes > 5:
        top = (order[:, :5] == truth[:, None]).any(axis=1)
        line += f", among the best five {top.mean():.4f}"
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (truth, order[:, 0]), 1)
    table = _matrix(matrix, labels) if classes <= MATRIX else _shares(matrix, labels)
    return [line, "", *table]


def _matrix(matrix: Any, labels: Sequence[str]) -> list[str]:
    names = [_short(label) for label in labels]
    first = max(map(len, names))
    widths = [max(len(name), len(str(matrix[:, j].max()))) for j, name in enumerate(names)]
    head = [name.rjust(width) for name, width in zip(names, widths, strict=True)]
    lines = [" ".join([" " * first, *head])]
    for i, row in enumerate(matrix):
        if row.sum():
            cells = [str(n).rjust(width) for n, width in zip(row, widths, strict=True)]
            lines.append(" ".join([names[i].ljust(first), *cells, _percent(row, i)]))
    return lines


def _shares(matrix: Any, labels: Sequence[str]) -> list[str]:
    """Return, for many classes, how well each does, and the most frequent mistakes."""
    import numpy as np

    seen = [i for i in range(len(labels)) if matrix[i].sum()]
    first = max(len(_short(labels[i])) for i in seen)
    lines = [f"{_short(labels[i]).ljust(first)} {_percent(matrix[i], i)}" for i in seen]
    wrong = matrix * (1 - np.eye(len(labels), dtype=int))
    places = np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES]
    for i, j in zip(*np.unravel_index(places, wrong.shape), strict=True):
        if wrong[i, j]:
            lines.append(f"{labels[i]} taken for {labels[j]}: {wrong[i, j]}")
    return lines


def _percent(row: Any, i: int) -> str:
    return f"{row[i] / row.sum():6.1%}"


def _short(name: str) -> str:
    return name if len(name) <= WIDTH else f"{name[: WIDTH - 3]}..."
