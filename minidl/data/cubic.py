"""Stretch images by cubic interpolation, as OpenCV's INTER_CUBIC does."""

from __future__ import annotations

import numpy as np

A = -0.75  # the slope of the kernel at distance 1


def stretch(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image (C, H, W) as (C, height, width): each pixel from the 4 x 4 nearest.

    Pixel i of n is at (i + 1/2) / n of the side, whether images grow or shrink: shrinking skips the
    pixels in between. Beyond the border the outermost pixel repeats. With d the distance to a
    pixel, its weight is

        (A + 2) d^3 - (A + 3) d^2 + 1        where d <= 1; A = -3/4
        A d^3 - 5 A d^2 + 8 A d - 4 A        where 1 < d < 2

    uint8 stays uint8: rounded, and cut to 0..255. Floats stay what they are.

    Source: Keys 1981, with OpenCV's A; Keys and Pillow take -1/2.
    """
    result = image if image.dtype.kind == "f" else image.astype(np.float32)
    for axis, size in ((1, height), (2, width)):
        if result.shape[axis] != size:
            result = _along(result, axis, size)
    if image.dtype == np.uint8:
        return result.round().clip(0, 255).astype(np.uint8)
    return result


def kernel(distance: np.ndarray) -> np.ndarray:
    """The weight of a pixel at this distance.

    >>> kernel(np.array([0, 0.5, 1, 1.5, 2])).tolist()
    [1.0, 0.59375, 0.0, -0.09375, 0.0]
    """
    d = np.abs(distance)
    near = ((A + 2) * d - (A + 3)) * d * d + 1
    far = ((A * d - 5 * A) * d + 8 * A) * d - 4 * A
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _along(image: np.ndarray, axis: int, size: int) -> np.ndarray:
    old = image.shape[axis]
    at = (np.arange(size) + 0.5) * (old / size) - 0.5
    first = np.floor(at).astype(np.intp) - 1
    column = [1] * image.ndim
    column[axis] = size
    total = np.zeros((), image.dtype)
    for pixel in (first, first + 1, first + 2, first + 3):
        weight = kernel(at - pixel).astype(image.dtype).reshape(column)
        total = total + weight * image.take(pixel.clip(0, old - 1), axis)
    return total
