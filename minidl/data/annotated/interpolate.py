"""Resize images as OpenCV does, in each of its five ways."""

from __future__ import annotations

import math

import numpy as np

from minidl import schema
from minidl.data import cubic
from minidl.data.resize import stretch

Taps = tuple[np.ndarray, np.ndarray]  # places (n, K) in the old side, and weights (n, K)


def resized(image: np.ndarray, height: int, width: int, mode: int) -> np.ndarray:
    """Resize an image (C, H, W) to (C, height, width); bytes stay bytes, rounded.

    mode   an Interp_mode of ResizeParameter

    All match OpenCV's to within one step of a byte.
    """
    modes, old = schema.ResizeParameter, image.shape[1:]
    if old == (height, width):
        return image
    if mode == modes.LINEAR:
        return stretch(image, height, width)
    if mode == modes.NEAREST:
        rows, columns = (
            np.minimum((np.arange(new) * (side / new)).astype(int), side - 1)
            for side, new in zip(old, (height, width), strict=True)
        )
        return image[:, rows[:, None], columns]
    if mode == modes.CUBIC:
        return cubic.stretch(image, height, width)
    taps = lanczos
    if mode == modes.AREA:
        taps = area if old[0] >= height and old[1] >= width else two_of_area
    out = _apply(image.astype(np.float32), *taps(old[1], width))
    out = _apply(out.swapaxes(1, 2), *taps(old[0], height)).swapaxes(1, 2)
    if image.dtype == np.uint8:
        return np.rint(out).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(out)


def _apply(image: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums along the last axis."""
    out = image[..., places[:, 0]] * weights[:, 0]
    for k in range(1, places.shape[1]):
        out += image[..., places[:, k]] * weights[:, k]
    return out


def area(old: int, new: int) -> Taps:
    """Return means of the old pixels that each new pixel covers, for shrinking sides."""
    edges = np.arange(new + 1) * (old / new)
    count = math.ceil(old / new) + 1
    places = np.floor(edges[:-1]).astype(int)[:, None] + np.arange(count)
    low, high = np.maximum(places, edges[:-1, None]), np.minimum(places + 1, edges[1:, None])
    covered = np.maximum(high - low, 0)
    return places.clip(0, old - 1), _whole(covered)


def two_of_area(old: int, new: int) -> Taps:
    """OpenCV's AREA where a side of the image grows: two pixels, for either side."""
    i, scale = np.arange(new), old / new
    low = np.floor(i * scale).astype(int)
    f = (i + 1) - (low + 1) / scale
    f = np.where(f <= 0, 0, f - np.floor(f))
    places = np.stack([low, low + 1], axis=1)
    return places.clip(0, old - 1), _whole(np.stack([1 - f, f], axis=1))


def lanczos(old: int, new: int) -> Taps:
    """Return eight pixels by Lanczos' kernel of four lobes; the border pixel repeats beyond it."""
    at = (np.arange(new) + 0.5) * (old / new) - 0.5
    places = np.floor(at).astype(int)[:, None] + np.arange(-3, 5)
    distance = at[:, None] - places
    weights = np.sinc(distance) * np.sinc(distance / 4) * (np.abs(distance) < 4)
    return places.clip(0, old - 1), _whole(weights)


def _whole(weights: np.ndarray) -> np.ndarray:
    """Weights that sum to 1."""
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
