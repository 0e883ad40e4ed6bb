"""Boxes on the host: overlaps, which of several to keep, and offsets from prior boxes.

Boxes are rows of xmin, ymin, xmax, ymax. All is computed in the number type of the arrays given, so
that float32 decides a close case as the float of Caffe's forks does.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

CORNER, CENTER_SIZE, CORNER_SIZE = 1, 2, 3  # PriorBoxParameter.CodeType


def areas(boxes: np.ndarray, extent: int = 0) -> np.ndarray:
    """Return the area of each box; 0 where it ends before it begins.

    extent   1 if a box ends *with* the pixel of its last corner: a box of one pixel has area 1
    """
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    size: np.ndarray = (width + extent) * (height + extent)
    return np.where((width < 0) | (height < 0), 0, size).astype(boxes.dtype)


def overlaps(box: np.ndarray, boxes: np.ndarray, extent: int = 0) -> np.ndarray:
    """Return intersection by union of one box with each of several, from 0 to 1.

    >>> overlaps(np.array([0., 0, 2, 2]), np.array([[1., 0, 3, 2], [2, 2, 3, 3]])).round(3).tolist()
    [0.333, 0.0]
    """
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    sides = high - low + boxes.dtype.type(extent)
    common = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0).astype(boxes.dtype)
    union = areas(box[None], extent) + areas(boxes, extent) - common
    result = np.zeros_like(common)
    np.divide(common, union, out=result, where=common > 0)
    return result


def suppress(
    boxes: np.ndarray,
    order: Iterable[int],
    threshold: float,
    eta: float = 1.0,
    extent: int = 0,
    most: int | None = None,
) -> list[int]:
    """Return the numbers of the boxes to keep: those that overlap none kept before by more than
    threshold.

    order       numbers of boxes, best first
    eta         below 1, the threshold is multiplied by it after each box kept, while it is above
                0.5
    most        stop at this many

    Source: Felzenszwalb et al. 2010, section 5; eta, Dollar & Zitnick's EdgeBoxes.
    """
    kept: list[int] = []
    limit, shrink = boxes.dtype.type(threshold), boxes.dtype.type(eta)
    for i in order:
        if most is not None and len(kept) >= most:
            break
        if kept and not (overlaps(boxes[i], boxes[kept], extent) <= limit).all():
            continue
        kept.append(int(i))
        if eta < 1 and limit > 0.5:  # stricter with every box kept
            limit = limit * shrink
    return kept


def best_first(scores: np.ndarray) -> np.ndarray:
    """Return the numbers of the scores, highest first; of equal ones the first one first."""
    return np.argsort(-scores, kind="stable")


def decode(
    priors: np.ndarray, variances: np.ndarray | None, offsets: np.ndarray, code: int
) -> np.ndarray:
    """Return the boxes (P, 4) that offsets from prior boxes (P, 4) mean.

    variances   (P, 4), factors on the offsets; None where these hold them already
    code        CORNER       prior + offset
                CENTER_SIZE  centre + offset * size, size * exp(offset)
                CORNER_SIZE  prior + offset * size
    """
    if variances is not None:
        offsets = variances * offsets  # they were divided by them for training
    if code == CORNER:
        return priors + offsets
    size = priors[:, 2:] - priors[:, :2]
    if code == CORNER_SIZE:
        return priors + offsets * np.tile(size, 2)
    centre = offsets[:, :2] * size + (priors[:, :2] + priors[:, 2:]) / 2
    half = np.exp(offsets[:, 2:]) * size / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def encode(
    priors: np.ndarray, variances: np.ndarray | None, boxes: np.ndarray, code: int
) -> np.ndarray:
    """Return the offsets (P, 4) from prior boxes to boxes, which `decode` takes back."""
    if code == CORNER:
        offsets = boxes - priors
    else:
        size = priors[:, 2:] - priors[:, :2]
        if code == CORNER_SIZE:
            offsets = (boxes - priors) / np.tile(size, 2)
        else:
            moved = (boxes[:, :2] + boxes[:, 2:]) / 2 - (priors[:, :2] + priors[:, 2:]) / 2
            scaled = np.log((boxes[:, 2:] - boxes[:, :2]) / size)
            offsets = np.concatenate([moved / size, scaled], axis=1)
    return offsets if variances is None else offsets / variances
