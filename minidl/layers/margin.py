"""Margins on angles, for faces told apart by cosines: `CosinAddm` and `AdaCosAddmScale`."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import carried, register, saved, scratch
from minidl.layers.labels import ItemLabelled

NOBODY = -1  # the label of an item without a class


class Margin(ItemLabelled):
    """A layer that turns the cosine c of each item with its own class into that of a larger angle.

        c -> cos(acos(c) + m)       where the sum is an angle below pi
        c -> c - m * sin(m)         beyond, so that it goes on falling

    Items of label -1 keep their cosines, and in phase TEST all do, unless transform_test is set.
    """

    family = "loss"
    bottoms = 2
    no_gradient = (1,)
    ignore_label = NOBODY

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        field = self.parameters[0]
        p = getattr(spec, field)
        self.m = p.m
        self.active = ctx.training or p.transform_test
        if not 0 <= self.m <= math.pi:
            self.reject_field(f"{field}.m", expected="an angle from 0 to pi")

    def top_shapes(self, cosines, labels):
        if len(cosines) < 2:
            self.reject(f"the bottom has the shape {cosines}", expected="(N, C)")
        self.fold_scores(cosines, labels)
        return (cosines,)

    def buffers(self, cosines, labels):
        items = self.fold_scores(cosines, labels)[::2]
        return {
            **self.label_buffers(cosines, labels),
            "slope": saved(items),  # what the cosine's own gradient is multiplied by, less 1
            "cosine": scratch(items),
            "sine": scratch(items),
            "change": scratch(items),
            "beyond": scratch(items, np.bool_),
        }

    def sample_bottoms(self, shapes, rng):
        return [rng.uniform(-0.98, 0.98, shapes[0]), self.sample_labels(*shapes, rng)]

    def add_margin(self, cosines, labels, y):
        """Fill y, and what backward needs."""
        classes = math.prod(cosines.shape[1:])
        self.read_labels(labels, classes)
        y[...] = cosines
        if not self.active:
            self.slope.fill(0)
            return
        self._work_out_change(cosines)
        self.xp.copyto(self.change, 0, where=self.ignored)
        self.xp.copyto(self.slope, 0, where=self.ignored)
        self.xp.add.at(y.reshape(-1), self.place.reshape(-1), self.change.reshape(-1))

    def _work_out_change(self, cosines):
        xp, c, sine, change, slope = self.xp, self.cosine, self.sine, self.change, self.slope
        xp.take(cosines.reshape(-1), self.place, out=c)
        self.spoil(c)
        xp.less_equal(c, -math.cos(self.m), out=self.beyond)
        xp.minimum(c, 1, out=slope)  # holds the cosine as the fork bounds it
        xp.square(slope, out=sine)
        xp.subtract(1, sine, out=sine)
        xp.maximum(sine, 0, out=sine)
        xp.sqrt(sine, out=sine)
        # cos(a + m) = cos(a) cos(m) - sin(a) sin(m); `change` is that less cos(a).
        xp.multiply(slope, math.cos(self.m), out=change)
        change -= c
        xp.multiply(sine, -math.sin(self.m), out=c)
        change += c
        # Where a + m is beyond pi the cosine would rise again: a constant is taken off instead.
        xp.copyto(change, -self.m * math.sin(self.m), where=self.beyond)
        self._work_out_slope(sine, slope)

    def _work_out_slope(self, sine, slope):
        """Fill `slope`, which holds the cosine; where the sine is 0 the fork takes 1 for the
        derivative."""
        xp = self.xp
        slope *= math.sin(self.m)
        xp.less_equal(sine, 0, out=self.no_class)
        xp.copyto(sine, 1, where=self.no_class)
        slope /= sine
        slope += math.cos(self.m) - 1
        xp.copyto(slope, 0, where=self.no_class)
        xp.copyto(slope, 0, where=self.beyond)

    def add_gradient(self, dy, dx):
        """Fill dx with the gradient through the margin alone."""
        xp, at = self.xp, self.place.reshape(-1)
        dx[...] = dy
        xp.take(dy.reshape(-1), self.place, out=self.change)
        self.change *= self.slope
        xp.add.at(dx.reshape(-1), at, self.change.reshape(-1))


@register("CosinAddm")
class CosinAddm(Margin):
    r"""Add a margin to the angle between each item and its class, so that it has to be smaller.

    With c the cosine of an item and its label's class, and all other cosines as they are,

        y  = cos(m) * c - sin(m) * sqrt(1 - c**2)       where c > -cos(m): cos(acos(c) + m)
             c - m * sin(m)                             elsewhere
        dx = dy * (cos(m) + sin(m) * c / sqrt(1 - c**2)), and dy elsewhere

    bottom[0]   cosines: (N, C)
    bottom[1]   labels: (N), whole numbers; an item of label -1 keeps its cosines
    top[0]      the shape of bottom[0]
    cosin_add_m_param   m (0.5), an angle; transform_test (false): add the margin in phase TEST, too

    A cosine above 1, which rounding leaves, counts as 1, where the derivative is taken for 1.

    The fork adds the margin in phase TEST on the CPU and not on a GPU, whatever transform_test
    says.

    Source: Deng, Guo, Xue & Zafeiriou 2019 (ArcFace), equation 3; xialuxi/arcface-caffe.
    """

    fork = "xialuxi/arcface-caffe"
    parameters = ("cosin_add_m_param",)

    def forward(self, bottom, top):
        self.add_margin(bottom[0].data, bottom[1].data, top[0].data)

    def backward(self, top, wanted, bottom):
        self.add_gradient(top[0].diff, bottom[0].diff)


@register("AdaCosAddmScale")
class AdaCosAddmScale(Margin):
    r"""CosinAddm, times a scale that follows from how well the batch is told apart.

    With c all cosines of N items, B the mean over the items of 1 + sum(exp(s_before * c)) over the
    classes that are not the item's own, and a the mean of acos(c) over all cosines,

        s  = log(B) / cos(min(a, pi / 4))
        y  = s * CosinAddm(c)
        dx = s * what CosinAddm gives for dy; s counts as a constant

    s_before is the s of the pass before, at first sqrt(2) * log(num_classes - 1).

    bottom[0]   cosines: (N, C)
    bottom[1]   labels: (N), whole numbers; an item of label -1 keeps its cosines, and has no class
                of its own
    top[0]      the shape of bottom[0]
    adacos_add_m_scale_param   m (0.5), an angle; num_classes (8750), for the first scale;
                transform_test (false): add the margin in phase TEST, too

    s is kept in snapshots. This is the form that the fork has for the CPU; on a GPU it takes the
    angle of a part of the cosines alone.

    Source: Zhang, Zhao, Qiao, Wang & Li 2019 (AdaCos), section 4, but for the mean of all angles in
    place of the median of those to the own class, which is how xialuxi/arcface-caffe has it.
    """

    fork = "xialuxi/arcface-caffe"
    parameters = ("adacos_add_m_scale_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.classes = spec.adacos_add_m_scale_param.num_classes
        if not 2 < self.classes < math.inf:
            self.reject_field("adacos_add_m_scale_param.num_classes", expected="more than 2")

    def buffers(self, cosines, labels):
        return {
            **super().buffers(cosines, labels),
            "scale": carried(()),
            "pass_scale": saved(()),
            "every": scratch(cosines),
            "angle": scratch(()),
            "first": scratch((), np.bool_),
        }

    def forward(self, bottom, top):
        c, y = bottom[0].data, top[0].data
        self.add_margin(c, bottom[1].data, y)
        self._follow(c)
        y *= self.pass_scale

    def backward(self, top, wanted, bottom):
        dx = bottom[0].diff
        self.add_gradient(top[0].diff, dx)
        dx *= self.pass_scale

    def _follow(self, c):
        """Set the scale of this pass."""
        xp, every, angle, scale = self.xp, self.every, self.angle, self.scale
        xp.equal(scale, 0, out=self.first)
        # Before the first pass it is 0.
        xp.copyto(scale, math.sqrt(2) * math.log(self.classes - 1), where=self.first)
        xp.clip(c, -1, 1, out=every)
        xp.arccos(every, out=every)
        xp.mean(every, out=angle)
        xp.minimum(angle, math.pi / 4, out=angle)  # untrained features are nearly at right angles
        xp.cos(angle, out=angle)
        xp.multiply(c, scale, out=every)
        xp.exp(every, out=every)
        # The own class counts as exp(0).
        xp.take(every.reshape(-1), self.place, out=self.change)
        xp.subtract(1, self.change, out=self.change)
        xp.copyto(self.change, 0, where=self.ignored)
        xp.add.at(every.reshape(-1), self.place.reshape(-1), self.change.reshape(-1))
        xp.sum(every, out=scale)
        scale /= c.shape[0]
        xp.log(scale, out=scale)
        scale /= angle
        self.pass_scale[...] = scale
