"""Sequences of one length: where they begin, and how many are read right.

The layers `ContinuationIndicator` and `LabelsequenceAccuracy`.
"""

from __future__ import annotations

import numpy as np

from minidl.layers.base import Layer, register
from minidl.layers.source import Source


@register("ContinuationIndicator")
class ContinuationIndicator(Source):
    """The second bottom of LSTM and RNN for sequences that all begin in the first step.

        y[t, n] = 0 for t = 0, else 1

    top[0]   (time_step, batch_size)
    continuation_indicator_param   time_step, batch_size: required

    Source: yalecyu/crnn.caffe.
    """

    fork = "yalecyu/crnn.caffe"
    parameters = ("continuation_indicator_param",)
    tops = 1

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.continuation_indicator_param
        self.check_positive("continuation_indicator_param", "time_step", "batch_size")
        self.shape = (p.time_step, p.batch_size)

    def top_shapes(self):
        return (self.shape,)

    def forward(self, bottom, top):
        y = top[0].data
        y[0] = 0  # begins a sequence
        y[1:] = 1


@register("LabelsequenceAccuracy")
class LabelsequenceAccuracy(Layer):
    """The share of sequences that come out letter by letter as they should.

    What a sequence reads is the best class of each step, of equal ones the first, with repetitions
    taken for one and blanks left out. It counts if that is its row of labels, blanks left out.

    bottom[0]   scores: (N, T, C)
    bottom[1]   labels: (N, L)
    top[0]      the share, shape ()
    labelsequence_accuracy_param   blank_label (0)

    There is no gradient. Sequences are compared on the host: a GPU is waited for in every pass.

    Source: yalecyu/crnn.caffe; reading by the best path, Graves et al. 2006, section 3.2.
    """

    family = "loss"
    fork = "yalecyu/crnn.caffe"
    parameters = ("labelsequence_accuracy_param",)
    bottoms = 2
    no_gradient = (0, 1)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.blank = spec.labelsequence_accuracy_param.blank_label

    def top_shapes(self, scores, labels):
        if len(scores) != 3 or len(labels) != 2 or scores[0] != labels[0] or 0 in scores:
            first, second = self.spec.bottom
            self.reject(
                f"'{first}' is {scores}, '{second}' {labels}",
                expected="(N, T, C) and (N, L): a row of labels for each sequence",
            )
        return ((),)

    def sample_bottoms(self, shapes, rng):
        labels = rng.integers(shapes[0][2], size=shapes[1]).astype(np.float64)
        return [rng.standard_normal(shapes[0]), labels]

    def forward(self, bottom, top):
        scores, labels = (self.ctx.device.to_host(blob.data) for blob in bottom)
        best = scores.argmax(axis=2)
        right = sum(
            np.array_equal(self._read(path), row[row != self.blank])
            for path, row in zip(best, labels, strict=True)
        )
        self.ctx.device.write(top[0].data, right / len(best))

    def _read(self, path):
        """The classes of a path, without repetitions and blanks."""
        new = np.concatenate([[True], path[1:] != path[:-1]])  # not the class of the step before
        return path[new & (path != self.blank)]
