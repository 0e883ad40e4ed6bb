"""The cells of a grid that see an object, and what each of them is to learn of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

PLANES = 8  # beside one for each class
TINY = float(np.finfo(np.float32).eps)


def cover(out: np.ndarray, boxes: np.ndarray, planes: np.ndarray, p: Any) -> None:
    """Write boxes into a grid of zeros; of boxes that meet in a cell the last one has it.

    out      (8 + classes, rows, columns): see DetectNetTransformation
    boxes    (n, 4): x, y, width and height in pixels
    planes   (n): which plane after the eighth is that of the box's class
    p        a DetectNetGroundTruthParameter
    """
    if p.crop_bboxes:
        boxes = _cut(boxes, p.image_size_x, p.image_size_y)
    for box, plane in zip(boxes, planes, strict=True):
        if np.isfinite(box).all() and (box[2:] > 0).all() and box[2] * box[3] >= TINY:
            _cover_one(out, box, int(plane), p)


def _cover_one(out: np.ndarray, box: np.ndarray, plane: int, p: Any) -> None:
    corner, size, stride = box[:2], box[2:], p.stride
    sides = _sides(size, p)
    low, high = corner + size / 2 - sides / 2, corner + size / 2 + sides / 2
    cells, shares, origins = [], [], []
    for start, end, count in zip(low, high, out.shape[:0:-1], strict=True):
        first, last = max(0, math.floor(start / stride)), min(count, math.ceil(end / stride))
        at = np.arange(first, max(first, last)) * stride
        cells.append(slice(first, max(first, last)))
        shares.append((np.minimum(end, at + stride) - np.maximum(start, at)).clip(0))
        origins.append(at)
    # (rows, columns) of cells it touches
    covered = np.outer(shares[1], shares[0]) / stride**2 > TINY
    if not covered.any():
        return
    values = np.zeros((len(out), *covered.shape), out.dtype)
    values[0] = values[PLANES + plane] = 1  # an object, and one of this class
    x, y = origins[0], origins[1][:, None]
    values[1], values[2] = corner[0] - x, corner[1] - y  # corners as seen from the cell
    values[3], values[4] = corner[0] + size[0] - x, corner[1] + size[1] - y
    values[5], values[6] = 1 / size
    weight = stride**2 / (sides[0] * sides[1])
    values[7] = weight if p.obj_norm else max(1, weight)
    np.copyto(out[:, cells[1], cells[0]], values, where=covered)


def _sides(size: np.ndarray, p: Any) -> np.ndarray:
    """Width and height of the part of a box that counts."""
    shrunk = size * size.dtype.type(p.scale_cvg)
    if p.gridbox_type == p.GRIDBOX_MIN:
        return np.minimum(size, np.maximum(p.min_cvg_len, shrunk))
    return np.minimum(p.max_cvg_len, shrunk)


def _cut(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Boxes at the border of the picture; without a size where nothing is left."""
    low = np.maximum(boxes[:, :2], 0)
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], np.array([width, height], boxes.dtype))
    return np.concatenate([low, (high - low).clip(0)], axis=1)
