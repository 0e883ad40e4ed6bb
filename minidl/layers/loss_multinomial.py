"""Classification from probabilities: the `MultinomialLogisticLoss` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, saved, scratch
from minidl.layers.labels import ItemLabelled
from minidl.layers.loss import LossLayer

LEAST = 1e-20  # Caffe's kLOG_THRESHOLD


@register("MultinomialLogisticLoss")
class MultinomialLogisticLoss(LossLayer, ItemLabelled):
    r"""Cross-entropy of given probabilities: the surprise at the true classes.

    With N items, t the label of each and q = max(p[t], 1e-20),

        loss  = -sum(log(q)) / N
        dp[t] = -w / (N q),     0 for all other classes

    where w is the gradient of the loss: its loss weight. Below 1e-20 the gradient stays that of the
    logarithm there. From scores, SoftmaxWithLoss gives the same loss and a gradient that does not
    grow without bounds.

    bottom[0]   probabilities: (N, C), or (N, ...) with C elements each
    bottom[1]   labels: N whole numbers from 0 to C - 1
    top[0]      the loss, shape ()

    Source: Caffe; the likelihood of multinomial logistic regression, Cox 1966.
    """

    def top_shapes(self, probabilities, labels):
        self.check_same_batch(probabilities, labels)
        self.fold_scores(probabilities, labels)
        return ((),)

    def buffers(self, probabilities, labels):
        outer = self.fold_scores(probabilities, labels)[0]
        return {
            "true": saved((outer, 1)),
            "terms": scratch((outer, 1)),
            "share": scratch(()),
            **self.label_buffers(probabilities, labels),
        }

    def multiply_adds(self, probabilities, labels):
        return math.prod(labels)

    def sample_bottoms(self, shapes, rng):
        return [rng.uniform(0.1, 1, shapes[0]), self.sample_labels(*shapes, rng)]

    def forward(self, bottom, top):
        xp, loss = self.xp, top[0].data
        outer, classes, _ = self.fold_scores(bottom[0].shape, bottom[1].shape)
        self.read_labels(bottom[1].data, classes)
        xp.take(bottom[0].data, self.place, out=self.true)
        xp.maximum(self.true, LEAST, out=self.true)  # the log stays finite
        self.spoil(self.true)
        xp.log(self.true, out=self.terms)
        xp.sum(self.terms, out=loss)
        loss /= -max(1, outer)

    def backward(self, top, wanted, bottom):
        xp, dp, terms = self.xp, bottom[0].diff, self.terms
        xp.divide(top[0].diff, -max(1, len(terms)), out=self.share)
        xp.divide(self.share, self.true, out=terms)
        dp.fill(0)  # the loss knows the true class's alone
        xp.add.at(dp.reshape(-1), self.place.reshape(-1), terms.reshape(-1))
