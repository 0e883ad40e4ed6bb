"""Batches of images and of the boxes in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.data.annotated import samples
from minidl.data.annotated.boxes import emitted, mirrored, project
from minidl.data.annotated.distort import Distort
from minidl.data.annotated.expand import Expand
from minidl.data.annotated.fit import Fit
from minidl.data.annotated.noise import Noise
from minidl.data.batches import Batch, Shape, StandIn, ThreadedMaker
from minidl.data.sources.annotated import AnnotatedDatums
from minidl.data.transform import Transform
from minidl.errors import DataError

ROW = 8  # numbers of an object: item, class, instance, its box, difficult
BOX = slice(2, 6)  # of a row without the item


class Look(NamedTuple):
    """The steps for an image and its boxes, in this order; a step that is None is skipped.

    samplers    BatchSampler messages; one of the parts they draw takes the image's place
    emit        an EmitConstraint: which boxes are objects of a part. None: all that overlap it
    transform   window, mirror, mean and scale
    """

    distort: Distort | None
    expand: Expand | None
    samplers: Sequence[Any]
    emit: Any
    fit: Fit | None
    noise: Noise | None
    transform: Transform


class _Item(NamedTuple):
    image: np.ndarray  # before `transform`
    u: np.ndarray | None  # its random numbers
    label: Any  # (G, 7), or a number
    shape: Shape  # after `transform`
    record: tuple[int, str]


class AnnotatedBatches(ThreadedMaker):
    """Batch n: images (N, C, H, W), and objects (1, 1, G, 8), or labels (N).

    A row is the item of its object in the batch, class, instance, xmin, ymin, xmax, ymax,
    difficult; by item, then in the order of the record. A batch without objects has one row of -1.

    The random numbers of item i are those of (seed, name, i, n).
    """

    _source: AnnotatedDatums
    _look: Look

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        numbers = self._order.batch(number)
        count = len(numbers)
        items = self._each(self._item, numbers, range(count), [number] * count)
        for item in items:
            self._compare(item, items[0])
        label = labels([item.label for item in items], self._dtype)
        shapes = ((count, *items[0].shape), label.shape)
        batch = Batch(self._room(shapes, spare), [item.record for item in items])
        batch.labels[...] = label

        def put(i: int) -> None:
            self._look.transform(items[i].image, items[i].u, batch.data[i])

        self._each(put, range(count))
        return batch

    def _item(self, record: int, place: int, batch: int) -> _Item:
        sample = self._source[record]
        name = self._source.describe(record, sample.key)
        rng = self._streams.generator(f"{self._name} item {place}", batch)
        boxed = isinstance(sample.label, np.ndarray)
        objects = sample.label if boxed else np.zeros((0, ROW - 1), np.float32)
        image, objects = self._part(sample.image, objects, rng, name)
        image, objects, u, shape = self._window(image, objects, rng, name)
        label = objects if boxed else sample.label
        return _Item(image, u, label, shape, (record, sample.key))

    def _part(
        self, image: np.ndarray, objects: np.ndarray, rng: np.random.Generator, name: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the image in other colours, and the part that is shown (perhaps beyond it)."""
        look = self._look
        if look.distort is not None:
            look.distort.check(image, name)
            image = look.distort(image, rng)
        if look.expand is not None:
            image, part = look.expand(image, rng, name)
            objects = objects if part is None else self._seen(objects, part)
        part = samples.choose(look.samplers, objects[:, BOX], rng)
        if part is None:
            return image, objects
        return cut(image, part), self._seen(objects, part)

    def _window(
        self, image: np.ndarray, objects: np.ndarray, rng: np.random.Generator, name: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Shape]:
        """Return the part at its size, its objects, `transform`'s random numbers, its shape."""
        look, fit, before = self._look, self._look.fit, image.shape
        if fit is not None:
            fit.check(image, name)
            image = fit(image, rng)
            objects = _moved(objects, fit.boxes(objects[:, BOX], before))
        if look.noise is not None:
            look.noise.check(image, name)
            image = look.noise(image, rng)
        u = rng.random(look.transform.draws) if look.transform.random else None
        shape = look.transform.top_shape(image.shape, name)
        top, left, flip = look.transform.place(image.shape, shape, u)
        low, sides = np.array([left, top]), np.array(image.shape[:0:-1], np.float32)
        part = np.concatenate([low / sides, (low + shape[:0:-1]) / sides]).astype(np.float32)
        objects = self._seen(objects, part)
        if flip:
            objects = _moved(objects, mirrored(objects[:, BOX]))
        if fit is not None:
            objects = _moved(objects, fit.unit(objects[:, BOX], before, part))
        return image, objects, u, shape

    def _seen(self, objects: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Return the objects in a part of an image."""
        boxes, there = project(part, objects[:, BOX])
        if self._look.emit is not None:
            there &= emitted(part, objects[:, BOX], self._look.emit)
        return _moved(objects, boxes)[there]

    def _compare(self, item: _Item, first: _Item) -> None:
        if item.shape != first.shape:
            raise DataError(
                f"{self.describe(item.record)} gives {item.shape}, but the first of its batch, "
                f"{self.describe(first.record)}, gives {first.shape}",
                expected="images of one shape within a batch",
                fix="transform_param { resize_param { resize_mode: WARP height: ... width: ... } }",
            )


def _moved(objects: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the objects with other boxes."""
    objects = objects.copy()
    objects[:, BOX] = boxes
    return objects


def cut(image: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return the pixels of a part of an image, at least one."""
    height, width = image.shape[1:]
    x, y, right, bottom = part * np.array([width, height] * 2, np.float32)
    left, top = min(int(x), width - 1), min(int(y), height - 1)
    rows = slice(top, top + max(1, int(bottom - y)))
    columns = slice(left, left + max(1, int(right - x)))
    return image[:, rows, columns]


def labels(found: Sequence[Any], dtype: Any) -> np.ndarray:
    """Return the label top of a batch, from each item's objects (G, 7) or label."""
    if not isinstance(found[0], np.ndarray):
        return np.array(found, dtype)
    rows = [np.insert(objects, 0, item, axis=1) for item, objects in enumerate(found)]
    table = np.concatenate(rows).astype(dtype)
    return (table if len(table) else np.full((1, ROW), -1, dtype)).reshape(1, 1, -1, ROW)


class BoxesStandIn(StandIn):
    """Noise with one object in each image, of class 1, in place of a missing data set."""

    def make(self, number: int, spare: Batch | None = None) -> Batch:
        if self._batch is None:
            batch = super().make(number)
            rng = self._streams.generator(self._name, 1)
            low, high = rng.random((2, len(batch.data), 2))
            objects = np.zeros((len(batch.data), 1, ROW - 1), np.float32)
            objects[:, 0, 0] = 1
            objects[:, 0, BOX] = np.concatenate([low / 2, (1 + high) / 2], axis=1)
            label = labels(list(objects), self._dtype)
            self._batch = batch._replace(arrays=(batch.data, label))
        return self._batch
