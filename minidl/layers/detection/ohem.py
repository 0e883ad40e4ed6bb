"""Learning from the regions that are most wrong: `BoxAnnotatorOHEM` and `SmoothL1LossOHEM`."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.detection.boxes import best_first
from minidl.layers.loss import LossLayer


@register("BoxAnnotatorOHEM")
class BoxAnnotatorOHEM(Layer):
    r"""Keep the labels and weights of the regions with the largest losses: hard example mining.

    Of each image's regions the roi_per_img with the largest losses keep their label and their
    weights; all others get ignore_label, and weights of 0. Of equal losses the first region is
    taken. Several places of a region, (R, 1, H, W), are chosen one by one.

    bottom[0]   regions: (R, 5, ...), image number (-1: none, never chosen) and corners
    bottom[1]   losses: as many numbers as there are regions, and places in them
    bottom[2]   labels: likewise
    bottom[3]   weights of the offsets: (R, channels, ...)
    top[0]      labels: (R, 1, H, W), H = W = 1 where bottom[0] has two axes
    top[1]      weights: (R, channels, H, W)

    box_annotator_ohem_param   roi_per_img, required; ignore_label (-1)

    It runs on the host: a GPU is waited for in every pass. There is no gradient.

    Source: Shrivastava, Gupta & Girshick 2016; R-FCN (Dai, Li, He & Sun 2016), section 3, and its
    fork daijifeng001/caffe-rfcn.
    """

    family = "detection"
    fork = "daijifeng001/caffe-rfcn"
    parameters = ("box_annotator_ohem_param",)
    bottoms = 4
    tops = 2
    no_gradient = (0, 1, 2, 3)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.box_annotator_ohem_param
        self.most, self.ignored = p.roi_per_img, p.ignore_label
        self.check_positive("box_annotator_ohem_param", "roi_per_img")

    def top_shapes(self, regions, losses, labels, weights):
        names = self.spec.bottom
        if len(regions) not in (2, 4) or regions[1] != 5:
            self.reject(
                f"the regions '{names[0]}' are {regions}",
                expected="(R, 5) or (R, 5, H, W): image number, x1, y1, x2, y2",
            )
        count, places = regions[0], (*regions[2:], 1, 1)[:2]
        each = count * math.prod(places)
        for name, shape in zip(names[1:3], (losses, labels), strict=True):
            if shape[:1] != (count,) or math.prod(shape) != each:
                self.reject(
                    f"'{name}' is {shape}, the regions '{names[0]}' are {regions}",
                    expected=f"({count}, 1, {places[0]}, {places[1]}): a number for each",
                )
        if len(weights) not in (2, 4) or (weights[0], *(*weights[2:], 1, 1)[:2]) != (
            count,
            *places,
        ):
            self.reject(
                f"the weights '{names[3]}' are {weights}, the regions '{names[0]}' {regions}",
                expected=f"({count}, channels, {places[0]}, {places[1]})",
            )
        return ((count, 1, *places), (count, weights[1], *places))

    def sample_bottoms(self, shapes, rng):
        regions, losses, labels, weights = (rng.random(shape) for shape in shapes)
        regions[:, 0] = rng.integers(-1, 2, size=regions[:, 0].shape)
        return [regions, losses, np.floor(labels * 5), weights]

    def forward(self, bottom, top):
        regions, losses, labels, weights = (self.ctx.device.to_host(b.data) for b in bottom)
        images, losses = regions[:, 0].reshape(-1), losses.reshape(-1)
        chosen = np.zeros(len(images), bool)
        for image in set(images.tolist()) - {-1}:
            mine = np.flatnonzero(images == image)
            # The most wrong of each image
            chosen[mine[best_first(losses[mine])[: self.most]]] = True
        by_place = chosen.reshape(top[0].shape)
        kept = np.where(by_place, labels.reshape(top[0].shape), self.ignored)
        self.ctx.device.write(top[0].data, kept)
        # No label and no weight: what is not chosen teaches nothing.
        self.ctx.device.write(top[1].data, np.where(by_place, weights.reshape(top[1].shape), 0))


@register("SmoothL1LossOHEM")
class SmoothL1LossOHEM(LossLayer):
    r"""SmoothL1Loss that also tells what each region adds, for BoxAnnotatorOHEM to choose by it.

    With d = weight * (a - b), and n from `normalization`,

        f(d)  = d**2 / 2        where |d| < 1
                |d| - 1 / 2     elsewhere
        item  = sum(f(d)) over the channels of a region
        loss  = sum(item) / n
        da    = (w / n + ditem) * weight * f'(d)         db = -da
        f'(d) = d where |d| < 1, else the sign of d

    where w is the gradient of the loss: its loss weight.

    bottom[0]    a, the predictions: (N, channels, ...)
    bottom[1]    b, the targets, as many elements; they can receive a gradient, too
    bottom[2]    optional: the weights, as many elements; 1 where left out. No gradient
    top[0]       the loss, shape ()
    top[1]       optional: item, (N, 1, H, W), H = W = 1 where bottom[0] has two axes
    loss_param   normalization: n is VALID (default) or FULL, the number of items and places;
                 BATCH_SIZE, N; NONE, 1; PRE_FIXED, pre_fixed_normalizer; never below 1; normalize:
                 its old form. ignore_label is not read; class_weight, class_weighting,
                 weight_by_label_freqs and scale are refused

    The fork leaves the factor weight out of da, which makes no difference for weights of 0 and 1;
    and does not read the gradient of top[1].

    Source: Girshick 2015 (Fast R-CNN), equation 3; R-FCN's fork daijifeng001/caffe-rfcn, in which
    it is SmoothL1Loss; under this name intel/caffe.
    """

    fork = "intel/caffe; in R-FCN's own fork SmoothL1Loss"
    parameters = ("loss_param",)
    bottoms = (2, 3)
    tops = (1, 2)
    no_gradient = (2,)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.read_loss_param()
        self.keeps = ("bottom",) if len(spec.bottom) == 3 else ()

    def top_shapes(self, *bottom):
        first = bottom[0]
        if len(first) < 2:
            self.reject(f"'{self.spec.bottom[0]}' is {first}", expected="(N, channels, ...)")
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if shape[:1] != first[:1] or math.prod(shape) != math.prod(first):
                self.reject(
                    f"'{name}' has the shape {shape}, '{self.spec.bottom[0]}' {first}",
                    expected="as many elements in all bottoms",
                )
        item = (first[0], 1, *(first[2:] if len(first) > 3 else (*first[2:], 1, 1)[:2]))
        return ((), item)[: max(1, len(self.spec.top))]

    def buffers(self, *bottom):
        three = self._fold(bottom[0])
        items = (three[0], 1, three[2])
        return {
            "difference": saved(three),
            "near": scratch(three),
            "far": scratch(three),
            "item": scratch(items),
            "share": scratch(()),
        }

    def sample_bottoms(self, shapes, rng):
        return [rng.standard_normal(s) * (2 if i < 2 else 1) for i, s in enumerate(shapes)]

    def forward(self, bottom, top):
        xp, d, near, far = self.xp, self.difference, self.near, self.far
        a, b, *weight = (blob.data.reshape(d.shape) for blob in bottom)
        xp.subtract(a, b, out=d)
        if weight:
            d *= weight[0]
        # f(d) = n * (|d| - n / 2) with n = min(|d|, 1): both pieces in one.
        xp.absolute(d, out=far)
        xp.minimum(far, 1, out=near)
        near *= -0.5
        far += near
        near *= -2
        near *= far
        xp.sum(near, axis=1, keepdims=True, out=self.item)
        if len(top) > 1:
            top[1].data[...] = self.item.reshape(top[1].shape)
        loss = top[0].data
        xp.sum(self.item, out=loss)
        loss /= self._divisor()

    def backward(self, top, wanted, bottom):
        xp, slope = self.xp, self.near
        xp.clip(self.difference, -1, 1, out=slope)  # f'(d)
        for weight in bottom[2:]:
            slope *= weight.data.reshape(slope.shape)
        xp.divide(top[0].diff, self._divisor(), out=self.share)
        if len(top) > 1:  # it brings a gradient of its own
            xp.add(top[1].diff.reshape(self.item.shape), self.share, out=self.item)
            slope *= self.item
        else:
            slope *= self.share
        for blob, want in zip(bottom[:2], wanted, strict=False):
            if want:
                blob.diff.reshape(slope.shape)[...] = slope
            xp.negative(slope, out=slope)  # what the targets get

    def _fold(self, shape):
        return (shape[0], shape[1], math.prod(shape[2:]))

    def _divisor(self):
        items, _, places = self.difference.shape
        return max(1, self.sum_over(items, places, items * places))
