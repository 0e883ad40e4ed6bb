"""Classification: the `SoftmaxWithLoss` layer."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from minidl import ops
from minidl.layers.base import Count, register, saved, scratch
from minidl.layers.labels import Labelled
from minidl.layers.loss import LossLayer
from minidl.layers.softmax import read_softmax_param, softmax, softmax_backward

FLT_MIN = float(np.finfo(np.float32).tiny)  # Caffe's floor in either number type


@register("SoftmaxWithLoss")
class SoftmaxWithLoss(LossLayer, Labelled):
    r"""Cross-entropy of softmax with one-hot targets: the surprise at the true classes.

    With p the softmax of the scores along the class axis, t the label of each item, and n from
    `normalization`, summing over the items that are not ignored,

        loss = -sum(v[t] * log(max(p[t], FLT_MIN))) / n
        dx   = w * v[t] * (p - (1 where c is t)) / n         (0 for ignored items)

    where w is the gradient of the loss, its loss weight, and v are the weights of the classes, 1
    unless given. FLT_MIN = 1.18e-38 keeps the loss of one item at or below 87.3365; a loss that
    stays there has scores that diverged.

    bottom[0]       scores: (N, C), or with a label for each pixel (N, C, H, W)
    bottom[1]       labels: whole numbers, (N) or (N, 1, H, W) or any shape of as many elements
    top[0]          the loss, shape ()
    top[1]          optional: p, the shape of bottom[0]
    softmax_param   axis of the classes (1); engine (CAFFE: this code, all there is on the CPU; on a
                    GPU our kernel computes it)
    loss_param      ignore_label: items with this label do not count (unset: all do);
                    normalization: n is VALID (default), the number of items that count; FULL,
                    all items; BATCH_SIZE, those before the class axis; NONE, 1; PRE_FIXED,
                    pre_fixed_normalizer; never below 1;
                    normalize: its old form, true for VALID and false for BATCH_SIZE;
                    class_weight: v, a number for each class; n stays a number of items, so the
                    loss is that of InfogainLoss with v on the diagonal of its matrix;
                    class_weighting: the same as SegNet's fork calls it, of effect only with
                    weight_by_label_freqs, as there; scale is MultiSoftmaxLoss's, and refused

    class_weight is not Caffe's, which has InfogainLoss for it, PRE_FIXED is R-FCN's; array code
    computes them, no engine.
    Where something above top[1] sends a gradient down, it is added through softmax; Caffe drops
    it in silence.

    Source: Bridle 1990, section 3; the clamp and the normalizations are Caffe's.
    """

    computes: ClassVar[tuple[Any, ...]] = (ops.SoftmaxLoss,)
    parameters: ClassVar[tuple[str, ...]] = ("softmax_param", "loss_param")
    tops: Count = (1, 2)
    weighs_classes = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.class_axis = read_softmax_param(self)
        self.read_loss_param()
        self.weighs_items = bool(self.class_weight)
        if self.normalization != "PRE_FIXED" and not self.weighs_items:
            self.op = ops.SoftmaxLoss(self.class_axis, self.ignore_label, self.normalization)

    def top_shapes(self, scores, labels):
        self.check_same_batch(scores, labels)
        _, classes, _ = self.fold_scores(scores, labels)
        if len(self.class_weight) not in (0, classes):
            self.reject(
                f"class_weight has {len(self.class_weight)} numbers, "
                f"the bottom {scores} {classes} classes",
                expected="a weight for each class",
                field="loss_param.class_weight",
            )
        return ((), scores)[: max(1, len(self.spec.top))]

    def buffers(self, scores, labels):
        outer, _, inner = three = self.fold_scores(scores, labels)
        prob_top = {"through": scratch(three)} if len(self.spec.top) > 1 else {}
        weights = {"item_weight": saved((outer, 1, inner))} if self.weighs_items else {}
        return {
            "prob": saved(three),
            "row": scratch((outer, 1, inner)),
            "divisor": saved(()),
            "share": scratch(()),
            **prob_top,
            **weights,
            **self.label_buffers(scores, labels),
        }

    def multiply_adds(self, scores, labels):
        return math.prod(scores)

    def forward(self, bottom, top):
        xp, prob = self.xp, self.prob
        outer, classes, inner = prob.shape
        self.read_classes(bottom[1].data, classes)
        if self.class_weight:
            weights = self.table(np.array, self.class_weight, self.dtype)
            xp.take(weights, self.place, out=self.item_weight[:, 0])
        self.find_places(classes)
        softmax(xp, bottom[0].data.reshape(prob.shape), prob, self.row)
        if len(top) > 1:
            top[1].data[...] = prob.reshape(top[1].shape)
        true = self.row[:, 0]  # softmax needs that memory no longer
        xp.take(prob, self.place, out=true)
        xp.maximum(true, FLT_MIN, out=true)
        self.measure(true)
        if self.ignore_label is not None:
            xp.copyto(true, 0, where=self.ignored)
        self.fill_divisor(self.divisor, outer, inner, self.valid_items())
        self.spoil(self.divisor)
        loss = top[0].data
        xp.sum(true, out=loss)
        loss /= self.divisor
        xp.negative(loss, out=loss)

    def backward(self, top, wanted, bottom):
        xp, prob = self.xp, self.prob
        dx = bottom[0].diff.reshape(prob.shape)
        # p - 1 for the true class, p for the others.
        dx[...] = prob
        xp.add.at(dx.reshape(-1), self.place.reshape(-1), self.table(np.array, -1, self.dtype))
        if self.weighs_items:
            dx *= self.item_weight
        if self.ignore_label is not None:
            xp.copyto(dx, 0, where=self.ignored[:, None])
        xp.divide(top[0].diff, self.divisor, out=self.share)
        dx *= self.pull(top)
        if len(top) > 1:
            dprob = top[1].diff.reshape(prob.shape)
            softmax_backward(xp, prob, dprob, self.through, self.row, product=self.through)
            dx += self.through

    def measure(self, true):
        """Turn the probability of each item's class into what the item adds, but for its sign; fill
        `item_weight`, the factor on its gradient, where there is one."""
        self.xp.log(true, out=true)
        if self.weighs_items:
            true *= self.item_weight[:, 0]

    def pull(self, top):
        """Return the gradient of what each item adds, for all items or each of them; `share` is the
        loss's own part of it."""
        return self.share
