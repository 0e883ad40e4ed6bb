"""The loss of SSD, over boxes and their classes: the `MultiBoxLoss` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.errors import LabelError
from minidl.layers.base import register, saved
from minidl.layers.detection.boxes import decode, encode
from minidl.layers.detection.matching import crosses_border, hardest, match
from minidl.layers.loss import LossLayer


@register("MultiBoxLoss")
class MultiBoxLoss(LossLayer):
    r"""The error of the boxes that should find an object, and of their classes.

    Each object is given to the prior box that overlaps it most, and with PER_PREDICTION to all that
    overlap it by at least overlap_threshold. Of the other boxes, which should say background, those
    count that overlap no object by neg_overlap or more and are most wrong, neg_pos_ratio times as
    many as there are matched ones in the image. With n from `normalization`,

        loss = (loc_weight * sum(f(offset - target) over matched boxes)
                + sum(e(scores, class) over matched boxes and chosen others)) / n

        f   SMOOTH_L1: d**2 / 2 where |d| < 1, else |d| - 1/2           L2: d**2 / 2
        e   SOFTMAX: -log(softmax(scores)[class])
            LOGISTIC: -log(sigmoid(s)) of the class, plus -log(1 - sigmoid(s)) of each other

    Backward differentiates this with matches and choices as they are.

    bottom[0]     offsets: (N, P * 4)
    bottom[1]     scores: (N, P * num_classes)
    bottom[2]     priors and their variances: (1, 2, P * 4); no gradient
    bottom[3]     objects: (1, 1, G, 8), rows of image, class, instance, xmin, ymin, xmax, ymax,
                  difficult; a row of image -1 is none. No gradient
    top[0]        the loss, shape ()
    loss_param    normalization: VALID (default), the matched boxes; FULL, N * P; BATCH_SIZE, N;
                  NONE, 1; PRE_FIXED, pre_fixed_normalizer; never below 1; normalize, its old form.
                  ignore_label is not read; class_weight, class_weighting, weight_by_label_freqs and
                  scale are refused

    multibox_loss_param
        loc_loss_type (SMOOTH_L1), conf_loss_type (SOFTMAX), loc_weight (1)
        num_classes                             required, with the background
        background_label_id (0)
        match_type (PER_PREDICTION)             or BIPARTITE: one box for each object
        overlap_threshold (0.5), neg_overlap (0.5), neg_pos_ratio (3)
        mining_type (MAX_NEGATIVE)              or NONE: all boxes count
        do_neg_mining                           old form of it
        use_prior_for_matching (true)           false: match the boxes as predicted
        use_difficult_gt (true)                 false: pass over difficult objects
        code_type (CORNER), encode_variance_in_target (false): as DetectionOutput has them
        ignore_cross_boundary_bbox (false)      boxes that leave the image match nothing, and do
                                                not count
        share_location, mining_type HARD_EXAMPLE with sample_size, nms_param and use_prior_for_nms,
        map_object_to_agnostic, bp_inside       refused where they ask for more than the above

    Loss and gradients are computed on the host: a GPU is waited for in every pass.

    Difference from Caffe: with LOGISTIC and no mining, boxes without an object say background here
    as they do with mining; there, no class at all.

    Source: Liu et al. 2016 (SSD), section 2.2; rules as in its branch of Caffe.
    """

    fork = "weiliu89/caffe, branch ssd"
    parameters = ("multibox_loss_param", "loss_param")
    bottoms = 4
    no_gradient = (2, 3)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.read_loss_param()
        p = self.p = spec.multibox_loss_param
        self.classes, self.background = p.num_classes, p.background_label_id
        self.mines = p.mining_type == p.MAX_NEGATIVE
        if p.HasField("do_neg_mining") and not p.HasField("mining_type"):
            self.mines = p.do_neg_mining
        if self.background >= self.classes:
            self.reject(
                f"num_classes is {self.classes}, background_label_id {self.background}",
                expected="num_classes, with the background among them",
            )
        for field, refused in (
            ("share_location", not p.share_location),
            ("mining_type", p.mining_type == p.HARD_EXAMPLE),
            ("nms_param", p.HasField("nms_param")),
            ("map_object_to_agnostic", p.map_object_to_agnostic),
            ("bp_inside", p.bp_inside),
        ):
            if refused:
                self.reject(
                    f"{field} is not supported as it is given here",
                    expected="one offset for all classes, and MAX_NEGATIVE or NONE as mining_type",
                    field=f"multibox_loss_param.{field}",
                )

    def top_shapes(self, offsets, scores, priors, objects):
        count, items = math.prod(priors) // 8, offsets[:1]
        wanted = (
            (*items, count * 4),
            (*items, count * self.classes),
            (1, 2, count * 4),
            (1, 1, math.prod(objects) // 8, 8),
        )
        shapes = (offsets, scores, priors, objects)
        for i, (shape, expected) in enumerate(zip(shapes, wanted, strict=True)):
            flat = (*shape[:1], math.prod(shape[1:])) if i < 2 else shape
            if flat != expected or not shape:
                self.reject(
                    f"'{self.spec.bottom[i]}' is {shape}, with {count} priors and {self.classes} "
                    "classes",
                    expected=f"{expected}",
                )
        return ((),)

    def buffers(self, offsets, scores, priors, objects):
        return {"offset_gradient": saved(offsets), "score_gradient": saved(scores)}

    def sample_bottoms(self, shapes, rng):
        offsets, scores, priors, objects = shapes
        boxes = np.sort(rng.random((math.prod(priors) // 8, 2, 2)), axis=1).reshape(-1, 4)
        pairs = np.stack([boxes.ravel(), np.full(boxes.size, 0.25)]).reshape(priors)
        rows = np.zeros(objects)
        found = rows.reshape(-1, 8)
        found[:, 0] = rng.integers(offsets[0], size=len(found))
        found[:, 1] = rng.integers(1, self.classes, size=len(found))
        found[:, 3:7] = boxes[rng.integers(len(boxes), size=len(found))] * 0.95
        return [rng.standard_normal(offsets), rng.standard_normal(scores), pairs, rows]

    def forward(self, bottom, top):
        host = self.ctx.device.to_host
        offsets, scores, priors, objects = (host(blob.data) for blob in bottom)
        n, prior = len(offsets), priors.reshape(2, -1, 4)
        objects = self._read_objects(objects.reshape(-1, 8), n)
        offsets, scores = offsets.reshape(n, -1, 4), scores.reshape(n, -1, self.classes)
        d_offsets, d_scores = np.zeros_like(offsets), np.zeros_like(scores)
        loss, matches = 0.0, 0
        for image in range(n):
            mine = objects[objects[:, 0] == image]
            target, counts = self._targets(offsets[image], scores[image], prior, mine)
            matched = target >= 0
            goal = self._goals(prior, mine[target[matched], 3:7], matched)
            wrong, slope = self._distance(offsets[image][matched] - goal)
            d_offsets[image][matched] = slope * self.p.loc_weight
            label = np.full(len(target), self.background)
            label[matched] = mine[target[matched], 1]
            surprise, slope = self._surprise(scores[image][counts], label[counts])
            d_scores[image][counts] = slope
            loss += self.p.loc_weight * float(wrong.sum()) + float(surprise.sum())
            matches += int(matched.sum())
        divisor = max(1, self.sum_over(n, prior.shape[1], matches))
        write = self.ctx.device.write
        write(top[0].data, loss / divisor)
        write(self.offset_gradient, (d_offsets / divisor).reshape(bottom[0].shape))
        write(self.score_gradient, (d_scores / divisor).reshape(bottom[1].shape))

    def backward(self, top, wanted, bottom):
        gradients = self.offset_gradient, self.score_gradient
        for blob, want, gradient in zip(bottom, wanted, gradients, strict=False):
            if want:
                self.xp.multiply(gradient, top[0].diff, out=blob.diff)

    def _targets(self, offsets, scores, prior, objects):
        """Return the number of each prior's object, or -1; and a mask of the priors that count."""
        p, boxes = self.p, prior[0]
        if not p.use_prior_for_matching:
            boxes = decode(boxes, self._variances(prior), offsets, p.code_type)
        least = p.overlap_threshold if p.match_type == p.PER_PREDICTION else None
        usable = np.ones(len(boxes), bool)
        if p.ignore_cross_boundary_bbox:
            usable = ~crosses_border(boxes)
        target, overlap = np.full(len(boxes), -1), np.zeros(len(boxes), boxes.dtype)
        target[usable], overlap[usable] = match(boxes[usable], objects[:, 3:7], least)
        matched = target >= 0
        if not self.mines:
            return target, np.ones(len(boxes), bool)
        # Background boxes are many and easy: the hardest of them count, some for each match.
        others = usable & ~matched & (overlap < overlap.dtype.type(p.neg_overlap))
        background = np.full(len(boxes), self.background)
        losses, _ = self._surprise(scores, background)
        count = int(matched.sum() * p.neg_pos_ratio)
        counts = matched.copy()
        counts[hardest(losses, others, count)] = True
        return target, counts

    def _goals(self, prior, objects, matched):
        """Return the offsets that the matched priors should have."""
        variances = self._variances(prior)
        variances = None if variances is None else variances[matched]
        return encode(prior[0][matched], variances, objects, self.p.code_type)

    def _variances(self, prior):
        return None if self.p.encode_variance_in_target else prior[1]

    def _distance(self, d):
        """Return f and its slope."""
        if self.p.loc_loss_type == self.p.L2:
            return d * d / 2, d
        near = np.clip(d, -1, 1)  # both pieces in one: d**2 / 2 near 0, |d| - 1 / 2 beyond
        return near * (d - near / 2), near

    def _surprise(self, scores, label):
        """Return e for each row of scores, and its slope."""
        hit = label[:, None] == np.arange(self.classes)
        if self.p.conf_loss_type == self.p.LOGISTIC:
            # log(1 + exp(s)) - s * hit, without overflow
            loss = np.maximum(scores, 0) - scores * hit + np.log1p(np.exp(-np.abs(scores)))
            return loss.sum(axis=1), (np.tanh(scores / 2) + 1) / 2 - hit
        shifted = scores - scores.max(axis=1, keepdims=True, initial=-math.inf)
        share = np.exp(shifted)
        total = share.sum(axis=1, keepdims=True)
        return (np.log(total[:, 0]) - shifted[hit]), share / total - hit

    def _read_objects(self, rows, images):
        """Return the rows that are objects; refuse one of an image or class that does not exist."""
        rows = rows[rows[:, 0] != -1]
        image, label = rows[:, 0], rows[:, 1]
        wrong = ~np.isin(image, np.arange(images)) | ~np.isin(label, np.arange(self.classes))
        wrong |= label == self.background
        if wrong.any():
            first = rows[np.argmax(wrong)]
            raise LabelError(
                f"'{self.spec.bottom[3]}' has an object of class {first[1]:g} in image "
                f"{first[0]:g}",
                where=self.where,
                expected=f"images from 0 to {images - 1}; classes from 0 to {self.classes - 1}, "
                f"but not the background, {self.background}",
                item=int(first[0]) if 0 <= first[0] < images else 0,
                value=float(first[1]),
            )
        if not self.p.use_difficult_gt:
            rows = rows[rows[:, 7] == 0]
        return rows
