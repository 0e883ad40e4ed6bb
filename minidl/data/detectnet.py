"""Random changes of a picture and of the boxes in it, as NVIDIA's DetectNet makes them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minidl.data import cubic, hsv

Size = tuple[int, int]  # height and width

DRAWS = 12  # random numbers per picture, used or not
TINY = float(np.finfo(np.float32).eps)


class Change(NamedTuple):
    """The changes of one picture, in this order.

    hue         degrees that colours are turned by
    saturation  factor on it
    flip        whether left and right are exchanged
    size        height and width it is stretched to
    rotation    degrees it is turned by, clockwise
    corner      row and column of the upper left corner of the visible window
    """

    hue: float
    saturation: float
    flip: bool
    size: Size
    rotation: float
    corner: tuple[int, int]

    def picture(self, image: np.ndarray, mean: Any, window: Size) -> np.ndarray:
        """Return the picture (3, H, W), blue, green and red, as (3, *window).

        mean    subtracted after the colours are changed; beyond the picture's border the result
                is 0, that is, the mean
        """
        if abs(self.hue) > TINY or self.saturation < 1 - 1 / 255:
            hue, saturation, value = hsv.from_bgr(image)
            image = hsv.to_bgr(hue + self.hue, saturation * self.saturation, value)
        image = image - mean
        if self.flip:
            image = image[:, :, ::-1]
        image = cubic.stretch(image, *self.size)
        if abs(self.rotation) > TINY:
            image = turned(image, self.rotation)
        return _seen(image, self.corner, window)

    def boxes(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        """Return boxes (n, 4) after the change: x, y, width and height, of a picture of this size.

        A turned box keeps its sides: only its centre moves.
        """
        boxes = boxes.copy()
        if self.flip:
            boxes[:, 0] = size[1] - boxes[:, 0] - boxes[:, 2] - 1
        if size != self.size:
            ratio = np.array([self.size[1] / size[1], self.size[0] / size[0]], boxes.dtype)
            boxes *= np.tile(ratio, 2)
        if abs(self.rotation) > TINY:
            matrix, shift = _turn(self.size, self.rotation)
            centres = boxes[:, :2] + boxes[:, 2:] / 2
            boxes[:, :2] = centres @ matrix.T + shift - boxes[:, 2:] / 2
        boxes[:, :2] -= self.corner[::-1]
        return boxes


def stretched(window: Size) -> Change:
    """Return the change outside of training: the picture is stretched to the window."""
    return Change(0, 1, False, window, 0, (0, 0))


def drawn(p: Any, size: Size, window: Size, u: np.ndarray) -> Change:
    """A change in training.

    p       a DetectNetAugmentationParameter
    size    of the picture
    window  what is seen of it
    u       DRAWS numbers from [0, 1)
    """
    hue = (2 * u[1] - 1) * p.hue_rotation if u[0] < p.hue_rotation_prob else 0
    saturation = 1 - u[3] * p.desaturation_max if u[2] < p.desaturation_prob else 1
    flip = bool(u[4] < p.flip_prob)
    if u[5] < p.scale_prob:
        scale = p.scale_min + (p.scale_max - p.scale_min) * u[6]
        size = (max(1, rounded(size[0] * scale)), max(1, rounded(size[1] * scale)))
    rotation = (2 * u[8] - 1) * p.max_rotate_degree if u[7] < p.rotation_prob else 0
    whole = turned_size(size, rotation) if abs(rotation) > TINY else size
    places, shifts = (0.5, 0.5), (0, 0)
    if u[9] < p.crop_prob:
        places, shifts = (u[11], u[10]), (p.shift_y, p.shift_x)
    row, column = (
        rounded(place * (side - seen + shift) - shift // 2)
        for place, side, seen, shift in zip(places, whole, window, shifts, strict=True)
    )
    return Change(float(np.clip(hue, -180, 180)), saturation, flip, size, rotation, (row, column))


def rounded(value: float) -> int:
    """Round halves away from 0, as C's `round` does.

    >>> rounded(2.5), rounded(-2.5), rounded(-0.4)
    (3, -3, 0)
    """
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def turned(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turn an image (C, H, W) clockwise, in a frame that shows all of it.

    A pixel is interpolated between the four nearest ones; 0 where not all four are in the image.
    """
    height, width = image.shape[1:]
    matrix, shift = _turn((height, width), degrees)
    rows, columns = turned_size((height, width), degrees)
    y, x = np.mgrid[:rows, :columns]
    from_x, from_y = np.tensordot(matrix.T, np.stack([x - shift[0], y - shift[1]]), 1)
    left, top = np.floor(from_x).astype(np.intp), np.floor(from_y).astype(np.intp)
    inside = (left >= 0) & (left < width - 1) & (top >= 0) & (top < height - 1)
    left, top = left[inside], top[inside]
    right, down = (
        (from_x[inside] - left).astype(image.dtype),
        (from_y[inside] - top).astype(image.dtype),
    )
    upper = image[:, top, left] * (1 - right) + image[:, top, left + 1] * right
    lower = image[:, top + 1, left] * (1 - right) + image[:, top + 1, left + 1] * right
    result = np.zeros((len(image), rows, columns), image.dtype)
    result[:, inside] = upper * (1 - down) + lower * down
    return result


def turned_size(size: Size, degrees: float) -> Size:
    """Return the frame of a turned picture: OpenCV's, about a centre of whole numbers."""
    height, width = size
    left, top, right, bottom = _bounds(size, (height // 2, width // 2), degrees)
    return bottom - top + 1, right - left + 1


def _turn(size: Size, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix and the shift that map a point (x, y) into the turned frame."""
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.array([size[1] / 2, size[0] / 2])
    corner = _bounds(size, (size[0] / 2, size[1] / 2), degrees)[:2]
    return matrix, centre - corner - matrix @ centre


def _bounds(size: Size, centre: tuple[float, float], degrees: float) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom, whole numbers, of a rectangle turned about `centre`."""
    angle, half = math.radians(degrees), np.array([size[1], size[0]], np.float32) / 2
    cos, sin = np.float32(abs(math.cos(angle))), np.float32(abs(math.sin(angle)))
    reach = np.array([cos * half[0] + sin * half[1], sin * half[0] + cos * half[1]], np.float32)
    middle = np.array(centre[::-1], np.float32)
    left, top = np.floor(middle - reach)
    right, bottom = np.ceil(middle + reach)
    return int(left), int(top), int(right), int(bottom)


def _seen(image: np.ndarray, corner: tuple[int, int], window: Size) -> np.ndarray:
    """Return the part of an image that a window shows, and 0 outside the image."""
    result = np.zeros((len(image), *window), image.dtype)
    inside, target = [slice(None)], [slice(None)]
    for start, side, seen in zip(corner, image.shape[1:], window, strict=True):
        first, last = max(0, start), max(0, start, min(side, start + seen))
        inside.append(slice(first, last))
        target.append(slice(first - start, last - start))
    result[tuple(target)] = image[tuple(inside)]
    return result
