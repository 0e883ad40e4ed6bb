"""Boxes of objects in images, of which only a part may be seen.

Boxes are rows of xmin, ymin, xmax, ymax, float32; 0 and 1 are the borders of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the areas of boxes (..., 4); 0 where one ends before it begins."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    product: np.ndarray = sides[..., 0] * sides[..., 1]
    return product


def common(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The areas (A, B) that each of the boxes (A, 4) shares with each of (B, 4)."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    return areas(np.concatenate([low, high], axis=2))


def project(part: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (G, 4) of an image as boxes of a part of it, cut at its border; and which are in it."""
    size = np.tile(part[2:] - part[:2], 2)
    seen = ((boxes - np.tile(part[:2], 2)) / size).clip(0, 1)
    return seen, areas(seen) > 0


def mirrored(boxes: np.ndarray) -> np.ndarray:
    """Return boxes (G, 4) after left and right are exchanged."""
    xmin, ymin, xmax, ymax = boxes.T
    return np.stack([1 - xmax, ymin, 1 - xmin, ymax], axis=1)


def emitted(part: np.ndarray, boxes: np.ndarray, constraint: Any) -> np.ndarray:
    """Return which of the boxes (G, 4) an EmitConstraint counts as objects of a part."""
    if constraint.emit_type == constraint.CENTER:
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside: np.ndarray = ((centres >= part[:2]) & (centres <= part[2:])).all(axis=1)
        return inside
    shares = share(common(boxes, part[None])[:, 0], areas(boxes))
    enough: np.ndarray = shares > np.float32(constraint.emit_overlap)
    return enough


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, 0 if the part is empty."""
    part, whole = np.broadcast_arrays(part, whole)
    result = np.zeros_like(part)
    np.divide(part, whole, out=result, where=part > 0)
    return result
