"""Measurements, never learned from: the `Accuracy` layer."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import register, scratch
from minidl.layers.labels import Labelled


@register("Accuracy")
class Accuracy(Labelled):
    r"""The share of items whose true class is among the `top_k` best scores.

    With C classes, scores x and true class t, an item counts as correct where

        at least C - top_k classes have a score below x[t]

    so a class that ties with the true one counts as better, and scores that are all the same
    (or NaN) are wrong. Without any item that counts, the accuracy is 0.

    bottom[0]        scores: (N, C), or with a label for each pixel (N, C, H, W)
    bottom[1]        labels: whole numbers, (N) or (N, 1, H, W) or any shape of as many elements
    top[0]           the accuracy, shape ()
    top[1]           optional: the accuracy among the items of each class, (C); 0 where there are
                     none
    accuracy_param   top_k (1), axis of the classes (1), ignore_label: items with this label do
                     not count (unset: all do)

    There is no gradient.

    Source: Caffe's layer of this name, except that its code takes a NaN at the true class for
    the best score.
    """

    family = "loss"
    parameters = ("accuracy_param",)
    bottoms = 2
    tops = (1, 2)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.accuracy_param
        self.top_k, self.class_axis = p.top_k, p.axis
        self.ignore_label = p.ignore_label if p.HasField("ignore_label") else None
        self.check_positive("accuracy_param", "top_k")

    def top_shapes(self, scores, labels):
        _, classes, _ = self.fold_scores(scores, labels)
        if self.top_k > classes:
            self.reject(
                f"top_k is {self.top_k}, but the scores {scores} have {classes} classes",
                expected=f"top_k <= {classes}",
                field="accuracy_param.top_k",
            )
        return ((), (classes,))[: len(self.spec.top)]

    def buffers(self, scores, labels):
        outer, classes, inner = self.fold_scores(scores, labels)
        numbers = scratch((classes,), np.intp)
        two_tops = len(self.spec.top) > 1
        by_class = {"class_hits": numbers, "class_items": numbers} if two_tops else {}
        return {
            "below": scratch((outer, classes, inner), np.bool_),
            "true": scratch((outer, inner)),
            "rank": scratch((outer, inner), np.intp),
            "correct": scratch((outer, inner), np.bool_),
            "hits": scratch((), np.intp),
            **by_class,
            **self.label_buffers(scores, labels),
        }

    def forward(self, bottom, top):
        xp, rank, correct = self.xp, self.rank, self.correct
        classes = self.below.shape[1]
        self.read_labels(bottom[1].data, classes)
        scores = bottom[0].data.reshape(self.below.shape)
        xp.take(scores, self.place, out=self.true)
        xp.less(scores, self.true[:, None], out=self.below)
        xp.sum(self.below, axis=1, dtype=np.intp, out=rank)  # how many classes score less
        # Ties count against it, as in Caffe
        xp.greater_equal(rank, classes - self.top_k, out=correct)
        if self.ignore_label is not None:
            xp.greater(correct, self.ignored, out=correct)
        xp.sum(correct, dtype=np.intp, out=self.hits)
        self._share(self.hits, self.valid_items(), top[0].data)
        if len(top) > 1:
            self._count_by_class()
            self._share(self.class_hits, self.class_items, top[1].data)

    def _count_by_class(self):
        """Fill `class_items` and `class_hits`, by comparing every label with every class."""
        xp, label, member = self.xp, self.rank, self.below
        classes, inner = member.shape[1:]
        # place = (n * classes + label) * inner + i
        xp.floor_divide(self.place, inner, out=label)
        xp.remainder(label, classes, out=label)
        xp.equal(label[:, None], self.table(_numbers, classes), out=member)
        if self.ignore_label is not None:
            xp.greater(member, self.ignored[:, None], out=member)
        xp.sum(member, axis=(0, 2), dtype=np.intp, out=self.class_items)
        xp.logical_and(member, self.correct[:, None], out=member)
        xp.sum(member, axis=(0, 2), dtype=np.intp, out=self.class_hits)

    def _share(self, hits, items, out):
        """out = hits / items, or 0 where there are none; `items` is overwritten."""
        if isinstance(items, int):
            items = max(1, items)
        else:
            self.xp.maximum(items, 1, out=items)
        self.xp.divide(hits, items, out=out)
        self.spoil(out)


def _numbers(classes):
    """0, 1, ... along the middle axis."""
    return np.arange(classes)[:, None]
