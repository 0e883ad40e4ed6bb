"""Many labels at once: the `SigmoidCrossEntropyLoss` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.loss import LossLayer


@register("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(LossLayer):
    r"""Cross-entropy of a sigmoid of each score with its target: many yes-or-no questions an item.

    With p = 1 / (1 + exp(-x)) and n from `normalization`, summing over the scores whose target is
    not ignored,

        loss = -sum(t * log(p) + (1 - t) * log(1 - p)) / n
        dx   = w * (p - t) / n                         (0 where the target is ignored)

    where w is the gradient of the loss: its loss weight. What is computed is
    max(x, 0) - x * t + log(1 + exp(-|x|)), which is the same number and never overflows.

    bottom[0]   scores: (N, ...)
    bottom[1]   targets t: as many, in any shape of N items; from 0 to 1, also between
    top[0]      the loss, shape ()
    loss_param  ignore_label: targets that are this number, fraction cut off, do not count;
                normalization: n is BATCH_SIZE (default here), N; VALID, the scores that count;
                FULL, all of them; NONE, 1; PRE_FIXED, pre_fixed_normalizer; never below 1;
                normalize: its old form, true for VALID and false for BATCH_SIZE; class_weight,
                class_weighting, weight_by_label_freqs and scale are refused

    Source: Caffe; cross-entropy of independent outputs, Hinton 1989, section 5.
    """

    parameters = ("loss_param",)
    default_normalization = "BATCH_SIZE"

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.read_loss_param()

    def top_shapes(self, scores, targets):
        self.check_same_batch(scores, targets)
        if math.prod(scores) != math.prod(targets):
            self.reject(
                f"scores {scores} need {math.prod(scores)} targets, but '{self.spec.bottom[1]}' "
                f"{targets} holds {math.prod(targets)}",
                expected="a target for each score",
            )
        return ((),)

    def buffers(self, scores, targets):
        count = (math.prod(scores),)
        buffers = {
            "difference": saved(count),  # p - t, 0 where ignored
            "power": scratch(count),  # exp(-|x|)
            "terms": scratch(count),
            "positive": scratch(count, np.bool_),
            "divisor": saved(()),
            "share": scratch(()),
        }
        if self.ignore_label is not None:
            buffers["ignored"] = scratch(count, np.bool_)
            buffers["valid"] = scratch((), np.intp)
        return buffers

    def multiply_adds(self, scores, targets):
        return math.prod(scores)

    def sample_bottoms(self, shapes, rng):
        targets = rng.random(shapes[1])
        if self.ignore_label is not None:
            targets = rng.integers(0, 2, shapes[1]).astype(np.float64)
            targets[rng.random(shapes[1]) < 1 / 3] = self.ignore_label
        return [rng.standard_normal(shapes[0]), targets]

    def forward(self, bottom, top):
        xp, terms, d, power = self.xp, self.terms, self.difference, self.power
        x, t, loss = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1), top[0].data
        # log(1 + exp(-|x|)) + max(x, 0) - x * t: the cross-entropy, where nothing can overflow.
        xp.abs(x, out=power)
        xp.negative(power, out=power)
        xp.exp(power, out=power)
        xp.log1p(power, out=terms)
        xp.maximum(x, 0, out=d)
        terms += d
        xp.multiply(x, t, out=d)
        terms -= d
        self._find_difference(x, t)
        count = x.size
        if self.ignore_label is not None:
            count = self._ignore(t)
        inner = math.prod(bottom[0].shape[1:])
        self.fill_divisor(self.divisor, bottom[0].shape[0], inner, count)
        xp.sum(terms, out=loss)
        loss /= self.divisor

    def backward(self, top, wanted, bottom):
        self.xp.divide(top[0].diff, self.divisor, out=self.share)
        self.xp.multiply(self.difference, self.share, out=bottom[0].diff.reshape(-1))

    def _find_difference(self, x, t):
        """p - t: p is 1 / (1 + exp(-|x|)) for x >= 0, else exp(-|x|) / (1 + exp(-|x|))."""
        xp, d, power = self.xp, self.difference, self.power
        xp.greater_equal(x, 0, out=self.positive)
        xp.maximum(power, self.positive, out=d)  # the numerator of p
        power += 1
        d /= power
        d -= t

    def _ignore(self, targets):
        """Take out ignored scores; return the number of those left, an array ()."""
        xp, whole = self.xp, self.power
        xp.trunc(targets, out=whole)
        xp.equal(whole, self.ignore_label, out=self.ignored)
        xp.copyto(self.terms, 0, where=self.ignored)
        xp.copyto(self.difference, 0, where=self.ignored)
        xp.sum(self.ignored, dtype=np.intp, out=self.valid)
        xp.subtract(targets.size, self.valid, out=self.valid)
        return self.valid
