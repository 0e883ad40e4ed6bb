"""Labels: class numbers stored as floats, checked in every forward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from minidl.arrays.blob import Shape
from minidl.errors import LabelError
from minidl.layers.base import Buffer, Layer, saved, scratch
from minidl.layers.folding import fold


class Labelled(Layer):
    """A layer with scores of classes in bottom[0] and the true class of each item in bottom[1].

    The scores are (outer, classes, inner) with the classes on `class_axis`; the labels are
    outer * inner whole numbers from 0 to classes - 1, or `ignore_label` where that is not None.
    Where `first_label` is not 0, labels count from there.

    A subclass sets `class_axis` and `ignore_label`, adds `label_buffers` to its own, and calls
    `read_labels` first in forward. Then `self.place`, of shape (outer, inner), says where the
    score of each item's class stands in ``scores.reshape(-1)``; an ignored item counts as class 0
    there, and `self.ignored` marks it (this array is there only where `ignore_label` is set).

    A label that names no class is refused on the CPU. On a GPU nobody waits to see it: it counts as
    the class nearest to it, and the subclass has `spoil` make its result NaN, which the net finds
    when it next shows one.
    """

    labels_bottom = 1
    first_label: ClassVar[int] = 0
    class_axis: int
    ignore_label: int | None
    place: Any
    ignored: Any
    labels: Any
    no_class: Any
    any_wrong: Any
    count: Any

    def fold_scores(self, scores: Shape, labels: Shape) -> tuple[int, int, int]:
        """(outer, classes, inner), refusing scores and labels that do not fit together."""
        axis = self.axis(self.class_axis, scores)
        outer, classes, inner = fold(scores, axis)
        if classes == 0:
            self.reject(f"the bottom {scores} has no class on axis {axis}", expected="at least one")
        if math.prod(labels) != outer * inner:
            self.reject(
                f"scores {scores} with the classes on axis {axis} need {outer * inner} labels, "
                f"but '{self.spec.bottom[1]}' {labels} holds {math.prod(labels)}",
                expected=f"labels of shape {scores[:axis] + scores[axis + 1 :]}",
            )
        return outer, classes, inner

    def label_buffers(self, scores: Shape, labels: Shape) -> dict[str, Buffer]:
        """Return the buffers that `read_labels` needs."""
        outer, _, inner = self.fold_scores(scores, labels)
        buffers = {
            "place": saved((outer, inner), np.intp),
            "labels": scratch((outer, inner)),
            "no_class": scratch((outer, inner), np.bool_),
            "any_wrong": scratch((), np.bool_),
        }
        if self.ignore_label is not None:
            buffers["ignored"] = saved((outer, inner), np.bool_)
            buffers["count"] = scratch((), np.intp)
        return buffers

    def read_labels(self, labels: Any, classes: int) -> None:
        """Fill `place`, `ignored` and `any_wrong`; on the CPU, refuse a label that is no class."""
        self.read_classes(labels, classes)
        self.find_places(classes)

    def read_classes(self, labels: Any, classes: int) -> None:
        """Do the same, except that `place` then holds the number of each item's class."""
        xp, place, nearest = self.xp, self.place, self.labels
        values = labels.reshape(place.shape)
        xp.fmax(values, self.first_label, out=nearest)  # the first for a NaN too
        xp.fmin(nearest, self.first_label + classes - 1, out=nearest)
        place[...] = nearest  # without the fraction
        xp.not_equal(place, values, out=self.no_class)  # those that were bounded or cut
        if self.first_label:
            place -= self.first_label
        if self.ignore_label is not None:
            xp.equal(values, self.ignore_label, out=self.ignored)
            xp.greater(self.no_class, self.ignored, out=self.no_class)  # wrong and not ignored
            xp.copyto(place, 0, where=self.ignored)  # any class will do: what it gives is masked
        xp.any(self.no_class, out=self.any_wrong)
        if self.ctx.device.kind == "cpu" and self.any_wrong:
            self._refuse_labels(labels, classes)

    def find_places(self, classes: int) -> None:
        """Turn the class numbers in `place` into places."""
        outer, inner = self.place.shape
        if inner > 1:
            # Class c of an item lies c * inner elements behind its class 0.
            self.place *= inner
        self.place += self.table(_first_class, outer, classes, inner)

    def spoil(self, result: Any) -> None:
        """Make `result` NaN if a label named no class. (The CPU has refused it by then.)"""
        if self.ctx.device.kind != "cpu":
            self.xp.copyto(result, math.nan, where=self.any_wrong)

    def valid_items(self) -> Any:
        """Return the number of items that are not ignored: an int, or an array of shape () where
        some may be."""
        if self.ignore_label is None:
            return self.place.size
        self.xp.sum(self.ignored, dtype=np.intp, out=self.count)
        self.xp.subtract(self.place.size, self.count, out=self.count)
        return self.count

    def sample_bottoms(self, shapes: Sequence[Shape], rng: np.random.Generator) -> list[np.ndarray]:
        scores, labels = shapes[:2]
        return [rng.standard_normal(scores), self.sample_labels(scores, labels, rng)]

    def sample_labels(self, scores: Shape, labels: Shape, rng: np.random.Generator) -> np.ndarray:
        """Random labels, about a third of them `ignore_label` where that is set."""
        _, classes, _ = self.fold_scores(scores, labels)
        sample = rng.integers(classes, size=labels).astype(np.float64) + self.first_label
        if self.ignore_label is not None:
            sample[rng.random(labels) < 1 / 3] = self.ignore_label
        return sample

    def check_labels(self, labels: np.ndarray, shape: Shape) -> None:
        _, classes, _ = self.fold_scores(shape, labels.shape)
        self._refuse_labels(labels, classes)

    def _refuse_labels(self, labels: Any, classes: int) -> None:
        values = self.ctx.device.to_host(labels).astype(np.float64)
        start, end = self.first_label, self.first_label + classes
        usable = (values >= start) & (values < end) & (values == np.floor(values))
        if self.ignore_label is not None:
            usable |= values == self.ignore_label
        if usable.all():
            return
        first = tuple(int(i) for i in np.argwhere(~usable)[0])
        value = float(values[first])
        place = f"{first[0]}" if len(first) == 1 else str(first)
        shown = f"{value:.0f}" if value.is_integer() else f"{value:g}"
        expected = f"a whole number from {start} to {end - 1}: '{self.spec.bottom[0]}' has "
        expected += f"{classes} class{'' if classes == 1 else 'es'}"
        if self.ignore_label is not None:
            expected += f"; or the ignore_label {self.ignore_label}"
        fix = f"correct the label; labels count classes from {start}"
        if value >= end and value.is_integer():
            needed = f"{shown} + {1 - start}" if start < 1 else shown
            fix = (
                f"correct the label (labels count from {start}), or provide {needed} scores an item"
            )
        raise LabelError(
            f"label {place} of '{self.spec.bottom[1]}' is {shown}",
            where=self.where,
            expected=expected,
            fix=fix,
            item=first[0] if first else 0,
            value=value,
        )


class ItemLabelled(Labelled):
    """A layer with one label for each item of bottom[0]: all its other axes are classes."""

    ignore_label: int | None = None

    def fold_scores(self, scores: Shape, labels: Shape) -> tuple[int, int, int]:
        outer, classes = scores[0], math.prod(scores[1:])
        if classes == 0:
            self.reject(f"items of the bottom {scores} have no class", expected="at least one")
        if math.prod(labels) != outer:
            self.reject(
                f"scores {scores} need {outer} labels, "
                f"but '{self.spec.bottom[1]}' {labels} holds {math.prod(labels)}",
                expected="a label for each item",
            )
        return outer, classes, 1


def _first_class(outer: int, classes: int, inner: int) -> np.ndarray:
    """Return where each item's score of class 0 stands among all scores, (outer, inner)."""
    return np.arange(outer)[:, None] * (classes * inner) + np.arange(inner)
