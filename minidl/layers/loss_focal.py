"""Classification where most items are easy: the `FocalLoss` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, scratch
from minidl.layers.loss_softmax import SoftmaxWithLoss

LEAST = 1e-10  # of 1 - p, where it divides


@register("FocalLoss")
class FocalLoss(SoftmaxWithLoss):
    r"""Cross-entropy in which an item counts for less, the surer the net is of its class.

    With p the softmax of the scores along the class axis, q the p of each item's label, and n from
    `normalization`, summing over the items that are not ignored,

        loss = -sum(alpha * (1 - q)**gamma * log(max(q, FLT_MIN))) / n
        dx   = w * g * (p - (1 where c is t)) / n           (0 for ignored items)
        g    = alpha * (1 - q)**gamma - alpha * gamma * (1 - q)**(gamma - 1) * q * log(q)

    where w is the gradient of the loss: its loss weight. With gamma: 0 it is SoftmaxWithLoss, times
    alpha.

    bottom[0]         scores: (N, C), or with a label for each pixel (N, C, H, W)
    bottom[1]         labels: whole numbers, (N) or (N, 1, H, W) or any shape of as many elements
    top[0]            the loss, shape ()
    top[1]            optional: p, the shape of bottom[0]
    focal_loss_param  gamma (2), alpha (0.25); type: ORIGIN, the formula above; LINEAR is refused,
                      and beta, which only that one has, is not read
    softmax_param     as for SoftmaxWithLoss
    loss_param        ignore_label, normalization, pre_fixed_normalizer and normalize as for
                      SoftmaxWithLoss; class_weight, class_weighting, weight_by_label_freqs and
                      scale are refused

    Source: Lin, Goyal, Girshick, He & Dollar 2017, section 3.2; over softmax, and with these
    fields, as in makefile/frcnn, which arcface-caffe took it from.
    """

    fork = "makefile/frcnn, and arcface-caffe after it"
    computes = ()
    parameters = ("focal_loss_param", "softmax_param", "loss_param")
    weighs_classes = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.focal_loss_param
        self.gamma, self.alpha = p.gamma, p.alpha
        if p.type == p.LINEAR:
            self.reject(
                "type LINEAR is not supported: the forks that name it compute ORIGIN for it",
                fix="type: ORIGIN",
                field="focal_loss_param.type",
            )
        if not 0 <= p.gamma < math.inf:
            self.reject_field("focal_loss_param.gamma", expected="a number of at least 0")
        if not 0 < p.alpha < math.inf:
            self.reject_field("focal_loss_param.alpha", expected="a number above 0")
        self.op = None  # engines have no such loss
        self.weighs_items = True

    def measure(self, true):
        xp, weight = self.xp, self.item_weight[:, 0]
        sure = self.sureness
        xp.subtract(1, true, out=weight)
        xp.maximum(weight, LEAST, out=weight)
        xp.divide(true, weight, out=sure)  # p / (1 - p)
        xp.power(weight, self.gamma, out=weight)
        weight *= self.alpha
        xp.log(true, out=true)
        sure *= true
        sure *= -self.gamma
        sure += 1  # what the gradient has beside the weight
        true *= weight
        weight *= sure

    def buffers(self, scores, labels):
        outer, _, inner = self.fold_scores(scores, labels)
        return {**super().buffers(scores, labels), "sureness": scratch((outer, inner))}
