"""A loss for boxes that bears outliers: the `SmoothL1Loss` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, saved, scratch
from minidl.layers.folding import dot, product_shape
from minidl.layers.loss import LossLayer


@register("SmoothL1Loss")
class SmoothL1Loss(LossLayer):
    r"""Half the squared difference near 0, its distance beyond: large errors pull no harder.

    With d = inside * (a - b), t = 1 / sigma**2 and N items,

        f(d) = sigma**2 * d**2 / 2      where |d| < t
               |d| - t / 2              elsewhere
        loss = sum(outside * f(d)) / N
        da   = w * outside * inside * f'(d) / N         db = -da
        f'(d) = sigma**2 * d where |d| < t, else the sign of d

    where w is the gradient of the loss: its loss weight.

    bottom[0]   a, the predictions: (N, ...)
    bottom[1]   b, the targets, as many elements; they can receive a gradient, too
    bottom[2]   optional: inside, as many elements; 1 where it is left out. No gradient
    bottom[3]   optional, and only together with bottom[2]: outside, likewise
    top[0]      the loss, shape ()
    smooth_l1_loss_param    sigma (1)

    Source: Girshick 2015 (Fast R-CNN), equation 3; sigma and the weights, Ren et al. 2015, their
    fork of Caffe. `loss_param` is not read there, nor here.
    """

    fork = "rbgirshick/caffe-fast-rcnn"
    parameters = ("smooth_l1_loss_param",)
    bottoms = (2, 4)
    no_gradient = (2, 3)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        sigma = spec.smooth_l1_loss_param.sigma
        if not sigma > 0:
            self.reject_field("smooth_l1_loss_param.sigma", expected="a number above 0")
        self.keeps = ("bottom",) if len(spec.bottom) == 4 else ()
        if len(spec.bottom) == 3:
            self.reject(
                f"has 3 bottoms ({', '.join(spec.bottom)})",
                expected="2 bottoms, or 4: weights inside and outside come together",
            )
        self.curvature = sigma * sigma

    def top_shapes(self, *bottom):
        self.check_as_many(*bottom)
        self.check_same_batch(*bottom[:2])
        return ((),)

    def buffers(self, *bottom):
        count = (math.prod(bottom[0]),)
        return {
            "difference": saved(count),
            "far": scratch(count),
            "near": scratch(count),
            "product": scratch(product_shape(self.ctx.device, count)),
            "share": scratch(()),
        }

    def multiply_adds(self, *bottom):
        return math.prod(bottom[0])

    def sample_bottoms(self, shapes, rng):
        return [rng.standard_normal(s) if i < 2 else rng.random(s) for i, s in enumerate(shapes)]

    def forward(self, bottom, top):
        xp, d, far, near, loss = self.xp, self.difference, self.far, self.near, top[0].data
        a, b, *weights = (blob.data.reshape(-1) for blob in bottom)
        xp.subtract(a, b, out=d)
        if weights:
            d *= weights[0]
        # f(d) = sigma**2 * n * (|d| - n / 2) with n = min(|d|, t): both pieces in one.
        xp.absolute(d, out=far)
        xp.minimum(far, 1 / self.curvature, out=near)
        near *= -0.5
        far += near
        near *= -2 * self.curvature
        if weights:
            near *= weights[1]
        dot(xp, far, near, loss, self.product)
        loss /= max(1, bottom[0].shape[0])

    def backward(self, top, wanted, bottom):
        xp, slope = self.xp, self.near
        limit = 1 / self.curvature
        xp.clip(self.difference, -limit, limit, out=slope)  # sigma**2 * d, bounded to +-1
        slope *= self.curvature
        for weights in bottom[2:]:
            slope *= weights.data.reshape(-1)  # both kinds: each has been a factor on the way
        xp.divide(top[0].diff, max(1, bottom[0].shape[0]), out=self.share)
        for blob, want in zip(bottom[:2], wanted, strict=False):
            if want:
                xp.multiply(slope, self.share, out=blob.diff.reshape(-1))
            xp.negative(self.share, out=self.share)  # what the targets get
