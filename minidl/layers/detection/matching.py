"""Prior boxes matched with objects, and the others that are worth training on."""

from __future__ import annotations

import numpy as np

from minidl.layers.detection.boxes import best_first, overlaps

NEGLIGIBLE = 1e-6  # overlaps up to this count as none


def match(
    boxes: np.ndarray, objects: np.ndarray, least: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the object (G, 4) of each box (P, 4), or -1; and its largest overlap
    with any.

    First the box and the object that overlap most are matched, then those of the rest, until every
    object has a box or nothing overlaps. Then, unless `least` is None, each box that is left takes
    the object it overlaps most, if that is at least `least`. Of equal overlaps the first box wins,
    and for it the first object.

    Source: Liu et al. 2016 (SSD), section 2.2.
    """
    found = np.full(len(boxes), -1)
    if not len(objects):
        return found, np.zeros(len(boxes), boxes.dtype)
    table = np.stack([overlaps(one, boxes) for one in objects], axis=1)
    table[table <= NEGLIGIBLE] = 0
    left = table.copy()
    while left.max(initial=0) > 0:
        i, j = np.unravel_index(left.argmax(), left.shape)
        found[i] = j
        left[i], left[:, j] = 0, 0  # both are taken
    if least is not None:
        nearest, most = table.argmax(axis=1), table.max(axis=1)
        enough = (found == -1) & (most > 0) & (most >= table.dtype.type(least))
        found[enough] = nearest[enough]
    return found, table.max(axis=1)


def crosses_border(boxes: np.ndarray) -> np.ndarray:
    """Return a mask of the boxes that leave the image, whose corners are (0, 0) and (1, 1)."""
    return np.any((boxes < 0) | (boxes > 1), axis=1)


def hardest(losses: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of the `count` candidates (a mask) with the largest losses, in their
    order."""
    numbers = np.flatnonzero(candidates)
    return np.sort(numbers[best_first(losses[numbers])[:count]])
