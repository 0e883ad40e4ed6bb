"""Classes and offsets to be learned for proposed regions: the `ProposalTarget` layer."""

from __future__ import annotations

import numpy as np

from minidl.errors import LabelError
from minidl.layers.base import Layer, register
from minidl.layers.detection.anchor_target import offsets
from minidl.layers.detection.boxes import overlaps


@register("ProposalTarget")
class ProposalTarget(Layer):
    r"""Draw regions to train on, and say what is in each and where it is to be moved.

    The objects themselves count among the regions. Of all of them,

        object       each whose overlap with some object is at least fg_thresh; it has the class
                     of the object with the largest overlap
        background   each whose largest overlap is below bg_thresh_hi and at least bg_thresh_lo;
                     its class is 0

    and of these are drawn in every pass, objects first, round(fg_fraction batch_size) of the first
    at most, and of the second as many as fill batch_size; n where there are fewer. A target is
    where the object lies, from the region: ((x - xr) / wr, (y - yr) / hr, log(w / wr),
    log(h / hr)), centres and sides counting both end pixels, less mean and over std.

    bottom[0]   regions: (R, 5): image, x1, y1, x2, y2 in pixels. A row of image -1, with which
                Proposal fills up, is none; all others are of image 0
    bottom[1]   the objects: (G, 5): x1, y1, x2, y2, class from 1 on
    top[0]      the regions drawn: (n, 5)
    top[1]      their classes: (n)
    top[2]      targets: (n, 4 num_classes), not 0 at 4 class to 4 class + 3 alone
    top[3]      weights of targets: there 1, else 0
    top[4]      the same again

    proposal_target_param   num_classes, background included; agnostic (false): one target for all
                            classes, as for class 1 of two; batch_size (128), fg_fraction (0.25),
                            fg_thresh (0.5), bg_thresh_hi (0.5), bg_thresh_lo (0.1); mean (0), std
                            (1): four numbers each; four_axes (false): tops (n, C, 1, 1), as
                            R-FCN has them

    How many are drawn decides the tops' shapes in each pass. All of it runs on the host: a GPU is
    waited for. There is no gradient.

    Source: Girshick 2015 (Fast R-CNN), section 2.3; rbgirshick/py-faster-rcnn,
    lib/rpn/proposal_target_layer.py, with the settings of its config; agnostic and
    four_axes, YuwenXiong/py-R-FCN.
    """

    family = "detection"
    fork = "py-faster-rcnn's rpn.proposal_target_layer"
    parameters = ("proposal_target_param",)
    bottoms = 2
    tops = 5
    no_gradient = (0, 1)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.proposal_target_param
        for name, least in (("num_classes", 2), ("batch_size", 1)):
            if getattr(p, name) < least:
                self.reject_field(f"proposal_target_param.{name}", expected=f"at least {least}")
        if not 0 <= p.fg_fraction <= 1:
            self.reject_field("proposal_target_param.fg_fraction", expected="a share, 0 to 1")
        for name in ("mean", "std"):
            if len(getattr(p, name)) not in (0, 4):
                self.reject(f"{name} has {len(getattr(p, name))} numbers", expected="four or none")
        if 0 in p.std:
            self.reject(f"std is {list(p.std)}", expected="numbers other than 0")
        self.p = p
        self.drawn = np.zeros((0, 5)), np.zeros(0), np.zeros((0, 4))

    def top_shapes(self, regions, objects):
        for name, shape in zip(self.spec.bottom, (regions, objects), strict=True):
            if len(shape) != 2 or shape[1] != 5:
                self.reject(f"'{name}' is {shape}", expected="rows of five numbers")
        if objects[0] < 1:
            self.reject(f"'{self.spec.bottom[1]}' is {objects}", expected="at least one object")
        return self._shapes(self.p.batch_size)

    def _shapes(self, count):
        targets = (count, 4 * self.p.num_classes)
        shapes = ((count, 5), (count,), targets, targets, targets)
        if not self.p.four_axes:
            return shapes
        return tuple(shape + (1,) * (4 - len(shape)) for shape in shapes)

    def late_shapes(self, bottom):
        regions, objects = (self.ctx.device.to_host(blob.read()) for blob in bottom)
        self._check(regions, objects)
        # The objects themselves are regions, too, so that some overlap well from the start.
        own = np.concatenate([np.zeros_like(objects[:, :1]), objects[:, :4]], axis=1)
        self.drawn = self._draw(np.concatenate([regions[regions[:, 0] >= 0], own]), objects)
        return self._shapes(len(self.drawn[0]))

    def _check(self, regions, objects):
        if (regions[:, 0] > 0).any():
            raise LabelError(
                f"region of image {regions[:, 0].max():g} in '{self.spec.bottom[0]}'",
                where=self.where,
                expected="regions of image 0: one image at a time",
            )
        most = np.inf if self.p.agnostic else self.p.num_classes - 1
        wrong = (objects[:, 4] < 0) | (objects[:, 4] > most) | (objects[:, 4] % 1 != 0)
        if wrong.any():
            raise LabelError(
                f"object of class {objects[wrong, 4][0]:g} in '{self.spec.bottom[1]}'",
                where=self.where,
                expected=f"a whole number from 1 to num_classes - 1, {self.p.num_classes - 1}",
            )

    def _draw(self, regions, objects):
        """Regions, their classes, and the offsets to their objects."""
        shared = np.stack([overlaps(box, regions[:, 1:], extent=1) for box in objects[:, :4]])
        nearest, most, rng = shared.argmax(axis=0), shared.max(axis=0), self.random()
        p = self.p
        found = np.flatnonzero(most >= p.fg_thresh)
        found = self._some(found, round(p.fg_fraction * p.batch_size), rng)
        ground = np.flatnonzero((most < p.bg_thresh_hi) & (most >= p.bg_thresh_lo))
        ground = self._some(ground, p.batch_size - len(found), rng)
        chosen = np.concatenate([found, ground])
        classes = objects[nearest[chosen], 4]
        classes[len(found) :] = 0  # the background
        moved = offsets(regions[chosen, 1:], objects[nearest[chosen], :4])
        mean, std = (list(p.mean) or [0] * 4), (list(p.std) or [1] * 4)
        return regions[chosen], classes, (moved - mean) / std

    @staticmethod
    def _some(those, most, rng):
        return rng.choice(those, most, replace=False) if len(those) > most else those

    def forward(self, bottom, top):
        regions, classes, moved = self.drawn
        targets, weights = np.zeros((2, len(regions), self.p.num_classes, 4), self.dtype)
        # Agnostic: one set of offsets for all classes.
        places = np.minimum(classes, 1) if self.p.agnostic else classes
        there = np.flatnonzero(classes), places[classes > 0].astype(int)
        targets[there] = moved[classes > 0]
        weights[there] = 1
        for blob, values in zip(top, (regions, classes, targets, weights, weights), strict=True):
            self.ctx.device.write(blob.data, values.reshape(blob.shape))
