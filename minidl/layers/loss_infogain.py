"""Mistakes that cost differently: the `InfogainLoss` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.errors import placed_in
from minidl.layers.base import register, saved, scratch
from minidl.layers.labels import Labelled
from minidl.layers.loss import LossLayer
from minidl.layers.loss_multinomial import LEAST
from minidl.layers.softmax import softmax, softmax_backward
from minidl.storage import arrays, files, wire


@register("InfogainLoss")
class InfogainLoss(LossLayer, Labelled):
    r"""Cross-entropy in which a matrix says how much each class counts for each true class.

    With p the softmax of the scores along the class axis, t the label of each item, H the matrix,
    and n from `normalization`, summing over the items that are not ignored,

        loss  = -sum(H[t, c] * log(max(p[c], 1e-20)) for all c) / n
        dx[c] = w * (p[c] * sum(H[t, j] for all j) - H[t, c]) / n       (0 for ignored items)

    where w is the gradient of the loss: its loss weight. The identity matrix makes it
    SoftmaxWithLoss, a diagonal one gives every class a weight.

    bottom[0]            scores: (N, C), or with a label for each pixel (N, C, H, W)
    bottom[1]            labels: whole numbers, (N) or (N, 1, H, W) or any shape of as many elements
    bottom[2]            optional: H, C * C numbers of any shape, a row for each true class; it
                         receives no gradient
    top[0]               the loss, shape ()
    top[1]               optional: p, the shape of bottom[0]
    infogain_loss_param  source: a BlobProto file of H, read where there is no bottom[2]; axis of
                         the classes (1)
    loss_param           ignore_label, normalization (VALID), pre_fixed_normalizer and normalize as
                         for SoftmaxWithLoss; scale is refused, and so are class_weight,
                         class_weighting and weight_by_label_freqs: multiply the rows of H

    Caffe refuses `normalize` here, which is the old form of `normalization`. Where something above
    top[1] sends a gradient down, it is added through softmax; Caffe drops it in silence.

    Source: Caffe, where the softmax is part of the layer since 2017.
    """

    parameters = ("infogain_loss_param", "loss_param")
    bottoms = (2, 3)
    tops = (1, 2)
    no_gradient = (1, 2)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.infogain_loss_param
        self.class_axis, self.source = p.axis, p.source
        self.read_loss_param()
        if len(spec.bottom) == 2:
            if not self.source:
                self.reject(
                    "has neither infogain_loss_param.source nor a third bottom",
                    expected="a matrix, a row for each true class",
                )
            with placed_in(self.where):
                self.matrix_size = read_matrix(self.source, np.float32).size

    def top_shapes(self, scores, labels, matrix=None):
        self.check_same_batch(scores, labels)
        _, classes, _ = self.fold_scores(scores, labels)
        name = self.source if matrix is None else self.spec.bottom[2]
        size = self.matrix_size if matrix is None else math.prod(matrix)
        if size != classes**2:
            self.reject(
                f"the matrix '{name}' has {size} elements, the bottom {scores} {classes} classes",
                expected=f"{classes} x {classes} elements",
            )
        return ((), scores)[: max(1, len(self.spec.top))]

    def buffers(self, scores, labels, matrix=None):
        outer, classes, inner = three = self.fold_scores(scores, labels)
        prob_top = {"through": scratch(three)} if len(self.spec.top) > 1 else {}
        return {
            "prob": saved(three),
            "rows": saved((outer, inner, classes)),  # H[t] of each item
            "row_sums": saved((outer, inner)),
            "terms": scratch(three),
            "row": scratch((outer, 1, inner)),
            "divisor": saved(()),
            "share": scratch(()),
            **prob_top,
            **self.label_buffers(scores, labels),
        }

    def multiply_adds(self, scores, labels, matrix=None):
        return math.prod(scores)

    def sample_bottoms(self, shapes, rng):
        labels = self.sample_labels(*shapes[:2], rng)
        return [rng.standard_normal(shapes[0]), labels, *(rng.random(s) for s in shapes[2:])]

    def forward(self, bottom, top):
        xp, prob, terms, loss = self.xp, self.prob, self.terms, top[0].data
        outer, classes, inner = prob.shape
        self.read_classes(bottom[1].data, classes)
        self._take_rows(bottom)
        softmax(xp, bottom[0].data.reshape(prob.shape), prob, self.row)
        if len(top) > 1:
            top[1].data[...] = prob.reshape(top[1].shape)
        xp.maximum(prob, LEAST, out=terms)  # the log stays finite
        xp.log(terms, out=terms)
        terms *= self.rows.transpose(0, 2, 1)  # (outer, classes, inner), like prob
        if self.ignore_label is not None:
            xp.copyto(terms, 0, where=self.ignored[:, None])
        self.fill_divisor(self.divisor, outer, inner, self.valid_items())
        self.spoil(self.divisor)
        xp.sum(terms, out=loss)
        loss /= self.divisor
        xp.negative(loss, out=loss)

    def backward(self, top, wanted, bottom):
        xp, prob = self.xp, self.prob
        dx = bottom[0].diff.reshape(prob.shape)
        # dx = p * sum(H[t]) - H[t]
        xp.multiply(prob, self.row_sums[:, None], out=dx)
        dx -= self.rows.transpose(0, 2, 1)
        if self.ignore_label is not None:
            xp.copyto(dx, 0, where=self.ignored[:, None])
        xp.divide(top[0].diff, self.divisor, out=self.share)
        dx *= self.share
        if len(top) > 1:
            dprob = top[1].diff.reshape(prob.shape)
            softmax_backward(xp, prob, dprob, self.through, self.row, product=self.through)
            dx += self.through

    def _take_rows(self, bottom):
        classes = self.rows.shape[2]
        if len(bottom) > 2:
            matrix = bottom[2].data
        else:
            matrix = self.table(read_matrix, self.source, self.dtype)
        self.xp.take(matrix.reshape(classes, classes), self.place, axis=0, out=self.rows)
        self.xp.sum(self.rows, axis=2, out=self.row_sums)


def read_matrix(path, dtype):
    """Return the array in a BlobProto file, in one dimension."""
    data = files.read(path, "infogain matrix")
    reader = wire.Reader(data, str(path), "infogain matrix (.binaryproto)")
    if not data.size:
        reader.fail(0, "", "nothing")
    array, _ = arrays.parse(reader, 0, data.size, "the matrix")
    return array.reshape(-1).astype(dtype)
