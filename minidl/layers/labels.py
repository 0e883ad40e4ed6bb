"""Labels: class numbers stored as floats, checked in every forward pass."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from minidl.blob import Shape
from minidl.errors import LabelError
from minidl.layers.base import Buffer, Layer, saved, scratch
from minidl.layers.folding import fold


class Labelled(Layer):
    """A layer with scores of classes in bottom[0] and the true class of each item in bottom[1].

    The scores are (outer, classes, inner) with the classes on `class_axis`; the labels are
    outer * inner whole numbers from 0 to classes - 1, or `ignore_label` where that is not None.

    A subclass sets `class_axis` and `ignore_label`, adds `label_buffers` to its own, and calls
    `read_labels` first in forward. Then `self.place`, of shape (outer, inner), says where the
    score of each item's class stands in ``scores.reshape(-1)``; an ignored item counts as class 0
    there, and `self.ignored` marks it (this array is there only where `ignore_label` is set).
    """

    class_axis: int
    ignore_label: int | None
    place: Any
    ignored: Any
    kept_labels: Any
    is_fraction: Any

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
        """The buffers that `read_labels` needs."""
        outer, _, inner = self.fold_scores(scores, labels)
        buffers = {
            "place": saved((outer, inner), np.intp),
            "is_fraction": scratch((outer, inner), np.bool_),
        }
        if self.ignore_label is not None:
            buffers["ignored"] = saved((outer, inner), np.bool_)
            buffers["kept_labels"] = scratch((outer, inner))
        return buffers

    def read_labels(self, labels: Any, classes: int) -> None:
        """Fill `place` and `ignored`; refuse a label that names no class."""
        xp, place = self.xp, self.place
        outer, inner = place.shape
        values = labels.reshape(place.shape)
        if self.ignore_label is not None:
            xp.equal(values, self.ignore_label, out=self.ignored)
            self.kept_labels[...] = values
            values = self.kept_labels
            xp.copyto(values, 0, where=self.ignored)
        if values.size == 0:
            return
        # Written so that a NaN fails, before the conversion that would make some integer of it.
        if not (values.min() >= 0 and values.max() < classes):
            self._refuse_label(labels, classes)
        place[...] = values
        if xp.not_equal(place, values, out=self.is_fraction).any():
            self._refuse_label(labels, classes)
        if inner > 1:
            place *= inner
            place += xp.arange(inner)
        place += xp.arange(0, outer * classes * inner, classes * inner)[:, None]

    def valid_items(self) -> int:
        """How many items are not ignored."""
        if self.ignore_label is None:
            return self.place.size
        return self.place.size - int(self.xp.count_nonzero(self.ignored))

    def sample_labels(self, scores: Shape, labels: Shape, rng: np.random.Generator) -> np.ndarray:
        """Random labels, about a third of them `ignore_label` where that is set."""
        _, classes, _ = self.fold_scores(scores, labels)
        sample = rng.integers(classes, size=labels).astype(np.float64)
        if self.ignore_label is not None:
            sample[rng.random(labels) < 1 / 3] = self.ignore_label
        return sample

    def _refuse_label(self, labels: Any, classes: int) -> NoReturn:
        values = self.ctx.device.to_host(labels).astype(np.float64)
        usable = (values >= 0) & (values < classes) & (values == np.floor(values))
        if self.ignore_label is not None:
            usable |= values == self.ignore_label
        first = tuple(int(i) for i in np.argwhere(~usable)[0])
        value = float(values[first])
        place = f"{first[0]}" if len(first) == 1 else str(first)
        shown = f"{value:.0f}" if value.is_integer() else f"{value:g}"
        expected = f"a whole number from 0 to {classes - 1}: '{self.spec.bottom[0]}' has "
        expected += f"{classes} class{'' if classes == 1 else 'es'}"
        if self.ignore_label is not None:
            expected += f"; or the ignore_label {self.ignore_label}"
        fix = "correct the label; labels count classes from 0"
        if value >= classes and value.is_integer():
            fix = f"correct the label (labels count from 0), or provide {shown} + 1 scores an item"
        raise LabelError(
            f"label {place} of '{self.spec.bottom[1]}' is {shown}",
            where=self.where,
            expected=expected,
            fix=fix,
            item=first[0] if first else 0,
            value=value,
        )
