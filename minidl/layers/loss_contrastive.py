"""Pairs, alike or not: the `ContrastiveLoss` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.loss import LossLayer

BESIDE_ZERO = 1e-4  # Caffe's: added to the distance that the gradient is divided by


@register("ContrastiveLoss")
class ContrastiveLoss(LossLayer):
    r"""Draw like pairs together, and push unlike ones apart until they are `margin` apart.

    For N pairs with distance d = |a - b| (Euclidean), y = 1 for like and 0 for unlike pairs,

        loss = sum(y * d**2 + (1 - y) * max(0, m - d)**2) / (2 N)
        da   = w / N * (a - b)                           like pairs
        da   = -w / N * (a - b) * (m - d) / (d + 1e-4)   unlike ones closer than m, else 0
        db   = -da

    where w is the gradient of the loss, its loss weight, and m the margin. The 1e-4, which is
    Caffe's, keeps pairs at distance 0 from dividing by it. With legacy_version, unlike pairs cost
    max(0, m - d**2), and da = -w / N * (a - b) where d**2 < m.

    bottom[0]               a: (N, C), or (N, ...) with C elements each
    bottom[1]               b: as many items with as many elements
    bottom[2]               y: N numbers; 0, or a fraction below 1, is an unlike pair, all else a
                            like one
    top[0]                  the loss, shape ()
    contrastive_loss_param  margin (1), legacy_version (false)

    Source: Hadsell, Chopra & LeCun 2006, equations 2 to 4; legacy_version: Caffe before 2015.
    """

    parameters = ("contrastive_loss_param",)
    bottoms = 3
    no_gradient = (2,)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.contrastive_loss_param
        self.margin, self.legacy = p.margin, p.legacy_version

    def top_shapes(self, a, b, alike):
        self.check_same_items(a, b)
        if math.prod(alike) != a[0]:
            self.reject(
                f"{a[0]} pairs need as many numbers that say whether they are alike, but "
                f"'{self.spec.bottom[2]}' {alike} holds {math.prod(alike)}",
                expected=f"shape ({a[0]},)",
            )
        return ((),)

    def buffers(self, a, b, alike):
        pairs = a[0]
        return {
            "difference": saved((pairs, math.prod(a[1:]))),
            "square": scratch((pairs, math.prod(a[1:]))),
            "distance": saved((pairs, 1)),  # squared in the legacy version
            "room": saved((pairs, 1)),  # the margin's rest: what an unlike pair is too close by
            "unlike": saved((pairs, 1), np.bool_),
            "terms": scratch((pairs, 1)),
            "factor": scratch((pairs, 1)),
            "share": scratch(()),
        }

    def multiply_adds(self, a, b, alike):
        return math.prod(a)

    def sample_bottoms(self, shapes, rng):
        # As large as the margin, so that some unlike pairs lie within it and some do not.
        width = max(1, math.prod(shapes[0][1:]))
        size = (math.sqrt(self.margin) if self.legacy else self.margin) / math.sqrt(2 * width)
        return [
            *(size * rng.standard_normal(shape) for shape in shapes[:2]),
            rng.integers(0, 2, shapes[2]).astype(np.float64),
        ]

    def forward(self, bottom, top):
        xp, d, room, terms, loss = self.xp, self.distance, self.room, self.terms, top[0].data
        shape = self.difference.shape
        a, b = (blob.data.reshape(shape) for blob in bottom[:2])
        xp.subtract(a, b, out=self.difference)
        xp.square(self.difference, out=self.square)
        xp.sum(self.square, axis=1, keepdims=True, out=d)
        xp.trunc(bottom[2].data.reshape(d.shape), out=terms)
        xp.equal(terms, 0, out=self.unlike)
        terms[...] = d
        if not self.legacy:
            xp.sqrt(d, out=d)
        xp.subtract(self.margin, d, out=room)
        xp.maximum(room, 0, out=room)
        if self.legacy:
            xp.copyto(terms, room, where=self.unlike)
        else:
            xp.square(room, out=self.factor)
            xp.copyto(terms, self.factor, where=self.unlike)
        xp.sum(terms, out=loss)
        loss /= 2 * max(1, len(d))

    def backward(self, top, wanted, bottom):
        xp, factor, push = self.xp, self.factor, self.terms
        if self.legacy:
            xp.sign(self.room, out=push)
        else:
            xp.add(self.distance, BESIDE_ZERO, out=push)
            xp.divide(self.room, push, out=push)
        xp.negative(push, out=push)
        factor.fill(1)
        xp.copyto(factor, push, where=self.unlike)
        xp.divide(top[0].diff, max(1, len(factor)), out=self.share)
        factor *= self.share
        for blob, want in zip(bottom[:2], wanted[:2], strict=True):
            if want:
                xp.multiply(self.difference, factor, out=blob.diff.reshape(self.difference.shape))
            xp.negative(factor, out=factor)  # what b gets
