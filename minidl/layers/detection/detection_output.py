"""From offsets and scores for prior boxes to detected boxes: the `DetectionOutput` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register
from minidl.layers.detection.boxes import best_first, decode, suppress


@register("DetectionOutput")
class DetectionOutput(Layer):
    r"""Turn what a net predicts for prior boxes into the list of detected objects.

    For each image and each class but the background: of the boxes with a score above
    confidence_threshold the nms_param.top_k best, from the best on, are kept unless they overlap
    one that was kept by more than nms_threshold. Of what all classes of an image keep, the
    keep_top_k best stay. Equal scores are taken in the order of the priors, and of the classes.

    bottom[0]   offsets: (N, P * 4), or (N, P * num_classes * 4) without share_location
    bottom[1]   scores: (N, P * num_classes), for each prior one after the other
    bottom[2]   priors and their variances: (1, 2, P * 4), as PriorBox makes them
    top[0]      (1, 1, K, 7): rows of image, class, score, xmin, ymin, xmax, ymax, by image, then by
                class, then by falling score. K is the most there can be, N * keep_top_k; rows after
                the last object are -1 throughout. Where nothing is found in any image, the first N
                rows have the number of an image, and -1 after it

    detection_output_param
        num_classes                     required, with the background
        share_location (true)           offsets are the same for all classes
        background_label_id (0)         -1 where there is none
        code_type                       CORNER (default), CENTER_SIZE or CORNER_SIZE: see PriorBox
        variance_encoded_in_target      (false) offsets are not multiplied by the variances
        confidence_threshold            all scores are above it if it is unset
        nms_param                       nms_threshold (0.3), top_k (all), eta (1)
        keep_top_k                      -1: all that is kept in each class
        save_output_param, visualize, visualize_threshold, save_file    accepted and not read

    A bottom may have further axes of 1. All of it runs on the host: a GPU is waited for in every
    pass. There is no gradient.

    Difference from Caffe: there K is the number of objects of the pass, and top[0] changes its
    shape with it. A program that passes over rows by their score or by image < 0 reads both.

    Source: Liu et al. 2016 (SSD), section 3.1; order and rules as in its branch of Caffe.
    """

    family = "detection"
    fork = "weiliu89/caffe, branch ssd"
    parameters = ("detection_output_param",)
    bottoms = 3
    no_gradient = (0, 1, 2)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p, nms = spec.detection_output_param, spec.detection_output_param.nms_param
        self.classes, self.background = p.num_classes, p.background_label_id
        self.shared, self.code = p.share_location, p.code_type
        self.uses_variance = not p.variance_encoded_in_target
        self.keep = p.keep_top_k
        given = p.HasField("confidence_threshold")
        self.least = p.confidence_threshold if given else -math.inf
        self.overlap, self.eta = nms.nms_threshold, nms.eta
        self.top_k = nms.top_k if nms.HasField("top_k") and nms.top_k >= 0 else None
        self._check()

    def _check(self):
        if self.classes == 0:
            self.reject("num_classes is missing", expected="the classes, with the background")
        if not self.overlap >= 0:
            self.reject(f"nms_threshold is {self.overlap:g}", expected="0 or more")
        if not 0 < self.eta <= 1:
            self.reject(f"eta is {self.eta:g}", expected="above 0, at most 1")
        if self.keep == 0 or self.keep < -1:
            self.reject_field(
                "detection_output_param.keep_top_k", expected="at least 1, or -1 for all"
            )

    def top_shapes(self, offsets, scores, priors):
        count = self._count(offsets, scores, priors)
        objects = len(self._objects())
        most = objects * (count if self.top_k is None else min(self.top_k, count))
        each = most if self.keep < 0 else min(self.keep, most)
        return ((1, 1, max(1, each) * offsets[0], 7),)

    def sample_bottoms(self, shapes, rng):
        (offsets, scores, priors), count = shapes, self._count(*shapes)
        boxes = np.sort(rng.random((count, 2, 2)), axis=1).reshape(-1)
        pairs = np.stack([boxes, np.full(boxes.shape, 0.25)]).reshape(priors)
        return [rng.standard_normal(offsets), rng.random(scores), pairs]

    def forward(self, bottom, top):
        offsets, scores, priors = (self.ctx.device.to_host(blob.data) for blob in bottom)
        n, prior = len(offsets), priors.reshape(2, -1, 4)
        variances = prior[1] if self.uses_variance else None
        offsets = offsets.reshape(n, prior.shape[1], 1 if self.shared else self.classes, 4)
        scores = scores.reshape(n, prior.shape[1], self.classes)
        found = []
        for image in range(n):
            by_class = [
                decode(prior[0], variances, offsets[image, :, c], self.code)
                for c in range(offsets.shape[2])
            ]
            for c, i in self._keep(by_class, scores[image]):
                box = by_class[0 if self.shared else c][i]
                found.append((image, c, scores[image, i, c], *box))
        rows = np.full(top[0].shape[2:], -1, self.dtype)
        if found:
            rows[: len(found)] = found
        else:
            rows[:n, 0] = range(n)  # no object at all: a row for each image, of -1
        self.ctx.device.write(top[0].data, rows.reshape(top[0].shape))

    def _keep(self, by_class, scores):
        """(class, prior) of the objects of an image, in the order of the top."""
        kept = []
        for c in self._objects():
            order = best_first(scores[:, c])
            # In the number type of the scores, as the fork compares.
            order = order[scores[order, c] > scores.dtype.type(self.least)][: self.top_k]
            boxes = by_class[0 if self.shared else c]
            kept += [(c, i) for i in suppress(boxes, order, self.overlap, self.eta)]
        if 0 <= self.keep < len(kept):
            best = best_first(np.array([scores[i, c] for c, i in kept]))[: self.keep]
            kept = [kept[k] for k in sorted(best, key=lambda k: kept[k][0])]
        return kept

    def _objects(self):
        """The classes but the background."""
        return [c for c in range(self.classes) if c != self.background]

    def _count(self, offsets, scores, priors):
        """Return the number of priors; refuse bottoms that do not agree on it."""
        size = math.prod(priors)
        if len(priors) < 3 or priors[1] != 2 or size % 8 or not offsets or not scores:
            self.reject(
                f"the priors '{self.spec.bottom[2]}' are {priors}",
                expected="(1, 2, P * 4): boxes and variances, as PriorBox makes them",
            )
        count, each = size // 8, 1 if self.shared else self.classes
        for name, shape, elements in (
            (self.spec.bottom[0], offsets, count * each * 4),
            (self.spec.bottom[1], scores, count * self.classes),
        ):
            if shape[0] != offsets[0] or math.prod(shape[1:]) != elements:
                self.reject(
                    f"'{name}' is {shape} for {count} priors and {self.classes} classes",
                    expected=f"({offsets[0]}, {elements})",
                )
        return count
