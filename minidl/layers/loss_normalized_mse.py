"""Regression of landmarks of a face: the `NormalizedMSE` loss layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, saved, scratch
from minidl.layers.folding import dot, product_shape
from minidl.layers.loss import LossLayer

EYES = 4  # numbers of a target that are the two eyes: x, y, x, y
LEAST = 1e-6  # added to the distance of the eyes


@register("NormalizedMSE")
class NormalizedMSE(LossLayer):
    r"""Half the squared distance of landmarks from where they are, in units of the eyes' distance.

    With N items, whose landmarks begin with the two eyes,

        s    = sqrt((t[0] - t[2])**2 + (t[1] - t[3])**2) + 1e-6         for each item
        loss = sum(((y - t) / s)**2) / (2 N)
        dy   = w * (y - t) / (s**2 N)

    where w is the gradient of the loss: its loss weight. Targets get no gradient.

    bottom[0]   y: (N, ...)
    bottom[1]   t: as many items with as many numbers each, 4 or more: x and y of each landmark
    top[0]      the loss, shape ()

    It has no parameters.

    Source: ishay2b/VanillaCNN, python/NormlizedMSE.py, a Python layer; Burgos-Artizzu, Perona &
    Dollar 2013 for the unit. Its backward gives (y - t) / (s N), which is not the gradient of its
    loss: here a face with close eyes counts for more than there.
    """

    fork = "ishay2b/VanillaCNN, a Python layer"

    def top_shapes(self, y, t):
        self.check_same_batch(y, t)
        if math.prod(y) != math.prod(t) or math.prod(t[1:]) < EYES:
            self.reject(
                f"the bottoms have the shapes {y} and {t}",
                expected=f"as many numbers in both, at least {EYES} for each item",
            )
        return ((),)

    def buffers(self, y, t):
        count = math.prod(y)
        items = y[0] if count else 0
        each = count // items if items else math.prod(t[1:])
        return {
            "difference": saved((items, each)),  # in units of the distance
            "distance": saved((items, 1)),
            "across": scratch((items, 2)),
            "product": scratch(product_shape(self.ctx.device, (count,))),
            "share": scratch(()),
        }

    def multiply_adds(self, y, t):
        return math.prod(y)

    def forward(self, bottom, top):
        xp, d, s, loss = self.xp, self.difference, self.distance, top[0].data
        y, t = (blob.data.reshape(d.shape) for blob in bottom)
        xp.subtract(t[:, 0:2], t[:, 2:4], out=self.across)
        xp.square(self.across, out=self.across)
        xp.sum(self.across, axis=1, keepdims=True, out=s)
        xp.sqrt(s, out=s)
        s += LEAST
        xp.subtract(y, t, out=d)
        d /= s
        dot(xp, d.reshape(-1), d.reshape(-1), loss, self.product)
        loss /= 2 * max(1, len(d))

    def backward(self, top, wanted, bottom):
        xp, d = self.xp, self.difference
        dy = bottom[0].diff.reshape(d.shape)
        xp.divide(top[0].diff, max(1, len(d)), out=self.share)
        xp.divide(d, self.distance, out=dy)
        dy *= self.share
