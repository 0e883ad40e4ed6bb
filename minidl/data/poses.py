"""Batches of people cut out by the joints of their bodies, and a map for each joint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidl.data.batches import Batch, ThreadedMaker
from minidl.data.resize import stretch
from minidl.data.sources import image
from minidl.data.sources.image_pairs import Pairs
from minidl.errors import DataError, placed_at

DRAWS = 8  # random numbers an image takes: its scale, four margins, three colours
LARGEST = 1 << 28  # pixels of an image that is brought to the size of its torso
COLORS = (0.8, 1.2)  # least and most that a channel is multiplied by
PLUS = [(0, -2), (0, 2), (-2, 0), (2, 0)]
JOINT = [*PLUS, *((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1))]  # places labelled 1
AROUND = [(x, y) for x in range(-2, 3) for y in range(-2, 3)]  # of a 1: those labelled -1


class Look(NamedTuple):
    """The settings of PoseImageData for an image and its points.

    height, width       of the image;  rows, columns   of the maps
    joints              points that have a map; two more, the ends of the torso, follow them
    torso               length that the torso is brought to, as a share of `height`
    margins             left, right, top, bottom: pixels kept around the points
    random_margin       at most this many more, on each side
    scales              least and most that the box around the points is enlarged by; None for 1
    with_torso          margins are kept around the torso instead of the box
    mean, scale         subtracted, and multiplied by
    recolor             multiply each channel by a random number
    """

    height: int
    width: int
    rows: int
    columns: int
    joints: int
    torso: float
    margins: tuple[int, int, int, int]
    random_margin: int
    scales: tuple[float, float] | None
    with_torso: bool
    mean: np.ndarray
    scale: float
    recolor: bool


class Poses(Pairs):
    """The images and points listed in a text file: a sequence of both.

    A line is the path of an image and that of a text file of whole numbers, x and y of each point
    from 1 on.
    """

    def __init__(self, file: Path, joints: int) -> None:
        super().__init__(file)
        self._joints = joints

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The image (3, H, W) and its points (joints + 2, 2), x and y from 0 on."""
        line, picture, points = self.pairs[number]
        where = f"{self.file}:{line}"
        with placed_at(where):
            pixels = image.decode(image.read(picture, where), True)
            return pixels, self._points(points, image.read(points, where))

    def _points(self, path: str, text: bytes) -> np.ndarray:
        words, wanted = text.split(), 2 * (self._joints + 2)
        try:
            numbers = [int(word) for word in words[: wanted + 1]]
        except ValueError:
            numbers = []
        if len(numbers) != wanted or max(map(abs, numbers)) >= 1 << 24:
            raise DataError(
                f"'{path}' holds {len(words)} words",
                expected=f"{wanted} whole numbers: x and y of {self._joints} joints, and of the "
                "two ends of the torso",
            )
        points = np.array(numbers, np.int64).reshape(-1, 2) - 1
        if (points[-1] == points[-2]).all():
            raise DataError(f"in '{path}' the torso has no length")
        return points


class Box(NamedTuple):
    """A part of an image, last row and column included."""

    left: int
    top: int
    right: int
    bottom: int


def box_around(points: np.ndarray, size: tuple[int, int], look: Look, u: np.ndarray) -> Box:
    """Return the part to cut out of an image of this size, (height, width).

    u   the scale's number, and those of the four margins

    Source: xiaolonw/caffe-3dnormal_joint_pose (pose_image_data_layer.cpp), both of its modes.
    """
    last = np.array([size[1], size[0]]) - 1
    low, high = points[: look.joints].min(axis=0), points[: look.joints].max(axis=0)
    left, right, top, bottom = (
        margin + look.random_margin * float(r)
        for margin, r in zip(look.margins, u[1:5], strict=True)
    )
    before, after = np.array([left, top]), np.array([right, bottom])
    if look.with_torso:
        first, second = points[-2:]
        low = np.minimum(low, np.trunc(first - before).astype(int)).clip(0)
        high = np.minimum(np.maximum(high, np.trunc(second + after).astype(int)), last)
        before = after = np.zeros(2)
    scale = 1.0
    if look.scales is not None:
        scale = look.scales[0] + (look.scales[1] - look.scales[0]) * float(u[0])
    half = ((high - low + 1) * scale).astype(int) // 2
    centre = (low + high) // 2
    start = np.trunc(centre - half - before).astype(int).clip(0)
    end = np.minimum(np.trunc(centre + half + after).astype(int), last)
    return Box(*start.tolist(), *end.tolist())


def joint_maps(points: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """For each point a map (rows, columns): 1 at and next to it, -1 around these, else 0."""
    maps = np.zeros((len(points), rows, columns))
    for one, (x, y) in zip(maps, points.tolist(), strict=True):
        ones = [(y + dy, x + dx) for dx, dy in JOINT if _inside(y + dy, x + dx, rows, columns)]
        for row, column in ones:
            for dx, dy in AROUND:
                if _inside(row + dy, column + dx, rows, columns):
                    one[row + dy, column + dx] = -1
        for place in ones:
            one[place] = 1
    return maps


def _inside(row: int, column: int, rows: int, columns: int) -> bool:
    return 0 <= row < rows and 0 <= column < columns


class PoseBatches(ThreadedMaker):
    """Batch n, a pure function of (seed, name, n): images (N, 3, H, W), maps (N, joints, h, w)."""

    _source: Poses
    _look: Look

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        numbers, look = self._order.batch(number), self._look
        count = len(numbers)
        u = self._streams.generator(self._name, number).random((count, DRAWS))
        shapes = (
            (count, 3, look.height, look.width),
            (count, look.joints, look.rows, look.columns),
        )
        batch = Batch(self._room(shapes, spare), [(n, "") for n in numbers])

        def put(i: int) -> None:
            self._fill(numbers[i], u[i], batch.data[i], batch.labels[i])

        self._each(put, range(count))
        return batch

    def _fill(self, number: int, u: np.ndarray, data: np.ndarray, maps: np.ndarray) -> None:
        look, (pixels, points) = self._look, self._source.read(number)
        ratio = look.height * look.torso / math.dist(*points[-2:].tolist())
        height, width = (int(side * ratio) for side in pixels.shape[1:])
        if not 0 < height * width <= LARGEST:
            self._refuse(number, f"becomes {height} x {width} pixels, for its torso is too small")
        points = np.trunc(points * ratio).astype(int)
        box = box_around(points, (height, width), look, u)
        if box.right < box.left or box.bottom < box.top:
            self._refuse(number, "has its joints beyond the picture")
        pixels = stretch(pixels, height, width)
        pixels = pixels[:, box.top : box.bottom + 1, box.left : box.right + 1]
        points = points - box[:2]
        fit = min(look.height / pixels.shape[1], look.width / pixels.shape[2])
        if fit < 1:
            pixels = stretch(pixels, *(max(1, int(side * fit)) for side in pixels.shape[1:]))
            points = np.trunc(points * fit).astype(int)
        left = max((look.width - pixels.shape[2]) // 2 - 1, 0)
        points = points + [left, 0]
        data[...] = 0
        data[:, : pixels.shape[1], left : left + pixels.shape[2]] = pixels
        data -= look.mean
        data *= look.scale
        if look.recolor:
            data *= (COLORS[0] + (COLORS[1] - COLORS[0]) * u[5:]).reshape(3, 1, 1)
        np.minimum(data, 255, out=data)
        points = np.trunc(points[: look.joints] / (look.height // look.rows)).astype(int)
        maps[...] = joint_maps(points, look.rows, look.columns)

    def _refuse(self, number: int, found: str) -> None:
        raise DataError(f"{self._source.describe(number)} {found}")
