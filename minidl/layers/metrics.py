"""What is only measured, never learned from: the `Accuracy` layer."""

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

    parameters = ("accuracy_param",)
    bottoms = 2
    tops = (1, 2)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.accuracy_param
        self.top_k, self.class_axis = p.top_k, p.axis
        self.ignore_label = p.ignore_label if p.HasField("ignore_label") else None
        if self.top_k == 0:
            self.reject("top_k is 0", expected="at least 1", field="accuracy_param.top_k")

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
        return {
            "below": scratch((outer, classes, inner), np.bool_),
            "true": scratch((outer, inner)),
            "rank": scratch((outer, inner), np.intp),
            **self.label_buffers(scores, labels),
        }

    def sample_bottoms(self, shapes, rng):
        return [rng.standard_normal(shapes[0]), self.sample_labels(*shapes, rng)]

    def forward(self, bottom, top):
        xp, place, rank = self.xp, self.place, self.rank
        outer, classes, inner = self.below.shape
        self.read_labels(bottom[1].data, classes)
        scores = bottom[0].data.reshape(self.below.shape)
        xp.take(scores, place, out=self.true)
        xp.less(scores, self.true[:, None], out=self.below)
        xp.add.reduce(self.below, axis=1, dtype=rank.dtype, out=rank)
        correct = rank >= classes - self.top_k
        counts = xp.ones_like(correct) if self.ignore_label is None else ~self.ignored
        correct &= counts
        top[0].data[...] = correct.sum() / max(1, self.valid_items())
        if len(top) > 1:
            labels = place // inner % classes
            items = xp.bincount(labels[counts], minlength=classes)
            hits = xp.bincount(labels[correct], minlength=classes)
            top[1].data[...] = hits / xp.maximum(items, 1)
