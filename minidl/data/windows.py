"""Batches of image windows, some on objects and some on background: R-CNN's training data."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.method_cache import method_cache
from minidl.arrays.rng import Streams
from minidl.data.augment import Augment
from minidl.data.batches import Batch, Shape, room
from minidl.data.resize import stretch
from minidl.data.sources import image
from minidl.data.sources.window_file import WindowFile
from minidl.errors import DataError, placed_at


class Cut(NamedTuple):
    """Where a window is in its image, and where its pixels go in a square of `crop` x `crop`."""

    rows: slice
    columns: slice
    height: int  # to which the rows are stretched
    width: int
    top: int  # rows and columns left empty before them
    left: int


def cut(box: tuple[int, ...], shape: Shape, crop: int, pad: int, square: bool, flip: bool) -> Cut:
    """Return the part of an image (C, H, W) that a window shows.

    box      x1, y1, x2, y2; its corners belong to it
    crop     side of the square it is stretched to
    pad      pixels of surroundings, counted in the square, that are shown around the window
    square   widen the window to a square first, so that its proportions stay
    flip     left and right will be exchanged, and so the empty columns lie on the other side

    Pixels beyond the image stay empty. Source: Caffe's WindowData layer, step by step, rounding
    halves away from zero as C does.
    """
    x1, y1, x2, y2 = box
    if not (pad or square):
        return Cut(slice(y1, y2 + 1), slice(x1, x2 + 1), crop, crop, 0, 0)
    scale = crop / (crop - 2 * pad)
    half_h, half_w = (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2
    middle_y, middle_x = y1 + half_h, x1 + half_w
    if square:
        half_h = half_w = max(half_h, half_w)
    top, height, rows = _side(middle_y, half_h * scale, shape[1], crop)
    left, width, columns = _side(middle_x, half_w * scale, shape[2], crop)
    before = left[1] if flip else left[0]
    height, width = min(height, crop - top[0]), min(width, crop - before)
    return Cut(rows, columns, max(height, 0), max(width, 0), top[0], before)


def _side(middle: float, half: float, size: int, crop: int) -> tuple[tuple[int, int], int, slice]:
    """Along one axis: what is empty before and after, the length of the rest, and its source."""
    first, last = _round(middle - half), _round(middle + half)
    scale = crop / (last - first + 1)
    before, after = max(0, -first), max(0, last - size + 1)
    source = slice(first + before, last - after + 1)
    length = _round((source.stop - source.start) * scale)
    return (_round(before * scale), _round(after * scale)), length, source


def _round(x: float) -> int:
    return math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1)


class Look(NamedTuple):
    """How a window is transformed.

    crop, pad, square   as `cut` takes them
    mirror              exchange left and right with probability 1/2
    mean                (C, crop, crop) or (C, 1, 1), subtracted where there are pixels
    scale               factor after that
    augment             random changes before it, if any
    upright             turn pictures as their EXIF orientation says
    """

    crop: int
    pad: int
    square: bool
    mirror: bool
    mean: np.ndarray
    scale: float
    augment: Augment | None
    upright: bool = True


class WindowBatches:
    """Batch n: N - F windows of background, then F of foreground, each drawn from all of its kind.

    A pure function of (seed, name, n). Every window takes a row of `2 + Augment.draws` random
    numbers: which one, whether it is mirrored, and Augment's.

    root        put before every path
    size, foreground   N and F
    workers     threads that make the windows of a batch
    cache       keep the image files in memory
    empty       makes a batch's arrays: shape and dtype -> an array with any contents
    """

    length = 0  # windows are drawn

    def __init__(
        self,
        file: WindowFile,
        root: str,
        size: int,
        foreground: int,
        cache: bool,
        look: Look,
        dtype: Any,
        streams: Streams,
        name: str,
        workers: int,
        empty: Callable[[Shape, Any], np.ndarray] = np.empty,
    ) -> None:
        self._file, self._root, self._size, self._foreground = file, root, size, foreground
        self._look, self._dtype, self._empty = look, dtype, empty
        self._streams, self._name = streams, name
        self._pool = ThreadPoolExecutor(workers, f"minidl worker of {name}")
        self._read = method_cache(self._bytes, None if cache else 0)

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        u = self._streams.generator(self._name, number).random((self._size, 2 + Augment.draws))
        crop = self._look.crop
        shapes = (self._size, 3, crop, crop), (self._size,)
        batch = Batch(room(shapes, self._dtype, spare, self._empty), [(0, "")] * self._size)

        def put(i: int) -> None:
            kind = i >= self._size - self._foreground
            choice = self._file.windows.foreground if kind else self._file.windows.background
            n = int(u[i, 0] * len(choice))
            batch.records[i] = n, "foreground" if kind else "background"
            picture, label, *box = choice[n].tolist()
            self._fill(
                batch.data[i], picture, box, bool(self._look.mirror and u[i, 1] < 0.5), u[i, 2:]
            )
            batch.labels[i] = label

        for _ in self._pool.map(put, range(self._size)):  # raises what the first of them raised
            pass
        return batch

    def restarts(self, number: int) -> int:
        return 0

    def describe(self, record: tuple[int, str]) -> str:
        number, kind = record
        picture, _, *box = getattr(self._file.windows, kind)[number].tolist()
        window = " ".join(map(str, box))
        return f"window {window} of '{self._file.paths[picture]}' in {self._file.file}"

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _fill(
        self, out: np.ndarray, picture: int, box: list[int], flip: bool, u: np.ndarray
    ) -> None:
        pixels = self._decode(picture)
        look = self._look
        part = cut(tuple(box), pixels.shape, look.crop, look.pad, look.square, flip)
        out[...] = 0
        if not (part.height and part.width):
            return
        shown = stretch(pixels[:, part.rows, part.columns], part.height, part.width)
        if look.augment is not None:
            shown = look.augment.warp(shown, u)
        shown = shown[..., ::-1] if flip else shown
        rows = slice(part.top, part.top + part.height)
        columns = slice(part.left, part.left + part.width)
        target = out[:, rows, columns]
        target[...] = shown
        if look.augment is not None:
            colors = np.ascontiguousarray(target)
            look.augment.recolor(colors, u, True)
            target[...] = colors
        per_pixel = look.mean.shape[1:] != (1, 1)
        target -= look.mean[:, rows, columns] if per_pixel else look.mean
        target *= look.scale

    def _decode(self, picture: int) -> np.ndarray:
        path, expected = self._file.paths[picture], self._file.shapes[picture]
        where = f"{self._root}{path}, of {self._file.file}"
        with placed_at(where):
            pixels = image.decode(self._read(picture), True, self._look.upright)
        if pixels.shape[1:] != expected[1:]:
            raise DataError(
                f"has {pixels.shape[1]} rows and {pixels.shape[2]} columns",
                where=where,
                expected=f"{expected[1]} and {expected[2]}, as the window file says",
                fix="transform_param { ignore_orientation: true }, if the windows are those of the "
                "picture before it is turned as EXIF says"
                if pixels.shape[:0:-1] == expected[1:]
                else "",
            )
        return pixels

    def _bytes(self, picture: int) -> bytes:
        return image.read(self._root + self._file.paths[picture], str(self._file.file))
