"""Classification of every place, with labels from 1: the `MultiSoftmaxLoss` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register
from minidl.layers.loss_softmax import SoftmaxWithLoss


@register("MultiSoftmaxLoss")
class MultiSoftmaxLoss(SoftmaxWithLoss):
    r"""SoftmaxWithLoss at every place of a map, summed over places, with labels that begin at 1.

    With p the softmax of the scores along the channels, t the label of each place, for N items,

        loss = -scale * sum(log(max(p[t - 1], FLT_MIN))) / N
        dx   = w * scale * (p - (1 where c is t - 1)) / N

    where w is the gradient of the loss, its loss weight.

    bottom[0]       scores: (N, C, H, W)
    bottom[1]       labels: whole numbers from 1 to C, as many as there are places
    top[0]          the loss, shape ()
    top[1]          optional: p, the shape of bottom[0]
    softmax_param   as for SoftmaxWithLoss
    loss_param      scale (1); the other fields as for SoftmaxWithLoss, but normalization is
                    BATCH_SIZE where it is unset: ignore_label, normalize,
                    pre_fixed_normalizer, class_weight, class_weighting,
                    weight_by_label_freqs

    The fork logs a loss 336 times smaller and without scale, whatever the number of places; its
    gradient is this one.

    Source: xiaolonw/caffe-3dnormal_joint_pose (multi_softmax_loss_layer.cpp).
    """

    fork = "xiaolonw/caffe-3dnormal_joint_pose"
    computes = ()
    first_label = 1
    default_normalization = "BATCH_SIZE"
    scales = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.op = None  # engines know no labels from 1
        self.loss_scale = spec.loss_param.scale
        if not 0 < self.loss_scale < math.inf:
            self.reject_field("loss_param.scale", expected="a number above 0")

    def fill_divisor(self, divisor, outer, inner, valid):
        super().fill_divisor(divisor, outer, inner, valid)
        divisor /= self.loss_scale
