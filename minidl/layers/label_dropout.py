"""Negative labels hidden from a loss, most of them: the `LabelDropout` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, saved


@register("LabelDropout")
class LabelDropout(Layer):
    r"""Let a loss see all places labelled 1, and only as many labelled 0 as keep the balance.

    With a mask over places, which a loss between y and the label then only sees where it is 1,

        y  = x where mask is 1, the label elsewhere
        dx = dy where mask is 1, 0 elsewhere

    In each channel of each item let there be P places with label 1 and Q with label 0. The mask is
    1 where the label is 1, and at n = P * drop_neg_ratio places where it is 0: all of them if
    n >= Q. Otherwise the n places where abs(x) is largest are the hard ones: n * hard_ratio of them
    are drawn at random; and from the rest of the hard ones, as many as n * rand_ratio, with all
    others, n * rand_ratio more. Every product is rounded down. Any other label's mask is 0.

    bottom[0]   x: (N, C, ...)
    bottom[1]   the labels, as many; no gradient
    top[0]      the shape of bottom[0]
    label_drop_param   drop_neg_ratio (1); hard_ratio and rand_ratio (0), together at most 1

    It draws in either phase, as the fork does; the same places in the same pass of a seed.

    Source: xiaolonw/caffe-3dnormal_joint_pose (label_dropout_layer.cpp).
    """

    family = "loss"
    fork = "xiaolonw/caffe-3dnormal_joint_pose"
    parameters = ("label_drop_param",)
    bottoms = 2
    no_gradient = (1,)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.label_drop_param
        self.ratio, self.hard, self.rand = p.drop_neg_ratio, p.hard_ratio, p.rand_ratio
        for name in ("drop_neg_ratio", "hard_ratio", "rand_ratio"):
            if not 0 <= getattr(p, name) < np.inf:
                self.reject_field(
                    f"label_drop_param.{name}", expected="a number that is not negative"
                )
        if self.hard + self.rand > 1:
            self.reject(
                f"hard_ratio is {self.hard:g} and rand_ratio {self.rand:g}",
                expected="together at most 1",
                field="label_drop_param.hard_ratio",
            )

    def top_shapes(self, x, labels):
        if len(x) < 2 or x[:2] != labels[:2] or np.prod(x) != np.prod(labels):
            self.reject(
                f"the bottom is {x}, and its labels {labels}", expected="a label for each place"
            )
        return (x,)

    def buffers(self, x, labels):
        return {"hidden": saved(x, np.bool_)}

    def sample_bottoms(self, shapes, rng):
        return [rng.standard_normal(shapes[0]), rng.integers(-1, 2, shapes[1]).astype(np.float64)]

    def forward(self, bottom, top):
        host, rng = self.ctx.device.to_host, self.random()
        items, channels, *places = top[0].shape
        shape = (items, channels, math.prod(places))
        x, labels = (host(blob.data).reshape(shape) for blob in bottom)
        seen = labels == 1
        for n, c in np.ndindex(x.shape[:2]):
            seen[n, c, self._drawn(x[n, c], labels[n, c], rng)] = True
        self.ctx.device.write(self.hidden, ~seen.reshape(self.hidden.shape))
        y = top[0].data
        y[...] = bottom[0].data
        # A hidden place takes its label as its score: the loss sees no difference there.
        self.xp.copyto(y, bottom[1].data.reshape(y.shape), where=self.hidden)

    def backward(self, top, wanted, bottom):
        dx = bottom[0].diff
        dx[...] = top[0].diff
        self.xp.copyto(dx, 0, where=self.hidden)

    def _drawn(self, x, labels, rng):
        """Return the places of one channel with label 0 that the loss sees."""
        nothing = np.flatnonzero(labels == 0)
        count = int(np.count_nonzero(labels == 1) * self.ratio)
        if count >= len(nothing):
            return nothing
        by_size = nothing[np.argsort(np.abs(x[nothing]), kind="stable")]  # smallest scores first
        # Largest scores: the worst mistakes
        others, worst = np.split(by_size, [len(by_size) - count])
        worst = rng.permutation(worst)
        hard, rand = int(count * self.hard), int(count * self.rand)
        # The rest is drawn from the milder ones and a share of the worst.
        others = rng.permutation(np.append(others, worst[hard : hard + rand]))
        return np.append(worst[:hard], others[:rand])
