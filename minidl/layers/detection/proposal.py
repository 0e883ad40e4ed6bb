"""From an RPN's scores and offsets to the regions to look at: the `Proposal` layer."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import Layer, register
from minidl.layers.detection.boxes import CENTER_SIZE, best_first, decode, suppress


class OfAnchors(Layer):
    """A layer that makes boxes of anchors, from scores, offsets and the size of one image."""

    family = "detection"
    bottoms = 3
    tops = (1, 2)
    no_gradient = (0, 1, 2)
    differentiable = False
    stride: int  # pixels for each place of the map

    def check_maps(self, scores, offsets, anchors, numbers):
        """Refuse other shapes than (1, 2 anchors, H, W) and (1, numbers anchors, H, W)."""
        names = self.spec.bottom[:2]
        counts = (2 * anchors, numbers * anchors)
        for name, shape, channels in zip(names, (scores, offsets), counts, strict=True):
            if len(shape) != 4 or shape[:2] != (1, channels) or shape[2:] != scores[2:]:
                self.reject(
                    f"'{name}' is {shape}, with {anchors} anchors at each place",
                    expected=f"(1, {channels}, H, W), for one image",
                )

    def sample_bottoms(self, shapes, rng):
        scores, offsets, image = shapes
        info = np.ones(image)  # height, width, and a scale of 1
        info.reshape(-1)[:2] = np.array(scores[2:]) * self.stride
        return [rng.random(scores), rng.standard_normal(offsets) / 4, info]


@register("Proposal")
class Proposal(OfAnchors):
    r"""Turn what a region proposal network says about anchors into the best regions.

    At each place of the map there are A anchors, boxes of each ratio and scale around base_size.
    They are moved and scaled by their offsets, cut off at the image's border, and dropped if a side
    is below min_size times the image's scale. From the pre_nms_topn best, the best on, those are
    kept that overlap none kept before by more than nms_thresh: at most post_nms_topn.

    bottom[0]        scores: (1, 2 A, H, W), of which the last A say how likely an object is
    bottom[1]        offsets: (1, 4 A, H, W): for each anchor centre x, centre y, width, height
    bottom[2]        the image: (1, 3), its height, width and scale
    top[0]           regions: (post_nms_topn, 5): image number, x1, y1, x2, y2, best first. Rows
                     after the last one have the image number -1, and zeros
    top[1]           optional: their scores, (post_nms_topn, 1); 0 in those rows

    proposal_param   feat_stride (16): pixels for each place of the map; base_size (16), ratio (0.5,
                     1, 2), scale (8, 16, 32): the anchors; min_size (16), pre_nms_topn (6000),
                     post_nms_topn (300), nms_thresh (0.7)

    All of it runs on the host: a GPU is waited for in every pass. There is no gradient. With equal
    scores the first anchor is the better one.

    py-faster-rcnn has it as a Python layer, `rpn.proposal_layer`. To use this one instead, write
    ``type: "Proposal"``, and in place of python_param a proposal_param, with the feat_stride and
    scales of its param_str; in TRAIN it keeps 2000 of 12000, in TEST 300 of 6000. Where it gives
    fewer regions than that, its top is shorter, and here the last rows are of image -1, for which
    ROIPooling and its like give zeros.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1. The fields are those of the C++ forms of
    this layer.
    """

    fork = "the C++ forms of py-faster-rcnn's rpn.proposal_layer"
    parameters = ("proposal_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.proposal_param
        counts = ("feat_stride", "base_size", "pre_nms_topn", "post_nms_topn")
        self.check_positive("proposal_param", *counts)
        self.stride, self.least = p.feat_stride, p.min_size
        self.before, self.after, self.overlap = p.pre_nms_topn, p.post_nms_topn, p.nms_thresh
        ratios, scales = tuple(p.ratio) or (0.5, 1, 2), tuple(p.scale) or (8, 16, 32)
        if min(ratios + scales) <= 0:
            self.reject(f"ratio is {ratios} and scale {scales}", expected="numbers above 0")
        self.anchors = tuple(map(tuple, anchors(p.base_size, ratios, scales).tolist()))

    def top_shapes(self, scores, offsets, image):
        self.check_maps(scores, offsets, len(self.anchors), 4)
        if np.prod(image) < 3:
            self.reject(
                f"'{self.spec.bottom[2]}' is {image}", expected="(1, 3): height, width and scale"
            )
        return ((self.after, 5), (self.after, 1))[: len(self.spec.top)]

    def forward(self, bottom, top):
        scores, offsets, image = (self.ctx.device.to_host(blob.data) for blob in bottom)
        height, width, scale = image.reshape(-1)[:3]
        a, dtype = len(self.anchors), offsets.dtype
        likely = scores[0, a:].transpose(1, 2, 0).reshape(-1)  # the second half: of being an object
        moves = offsets[0].transpose(1, 2, 0).reshape(-1, 4)
        boxes = self._moved(
            anchors_of(self.anchors, self.stride, scores.shape[2:]).astype(dtype), moves
        )
        boxes[:, 0::2] = np.clip(boxes[:, 0::2], 0, width - 1)
        boxes[:, 1::2] = np.clip(boxes[:, 1::2], 0, height - 1)
        # min_size is meant in pixels of the original image.
        large = ((boxes[:, 2:] - boxes[:, :2] + 1) >= self.least * scale).all(axis=1)
        order = best_first(likely)
        order = order[large[order]][: self.before]
        kept = suppress(boxes, order, self.overlap, extent=1, most=self.after)
        regions, values = np.zeros((self.after, 5), dtype), np.zeros((self.after, 1), dtype)
        regions[len(kept) :, 0] = -1  # the rest of the top is no region
        regions[: len(kept), 1:] = boxes[kept]
        values[: len(kept), 0] = likely[kept]
        for blob, rows in zip(top, (regions, values), strict=False):
            self.ctx.device.write(blob.data, rows)

    def _moved(self, anchors_, moves):
        """Return the anchors moved and scaled. Their sizes count both ends, those of the result
        do not, as in py-faster-rcnn."""
        ends = anchors_.copy()
        ends[:, 2:] += 1  # the last pixel counts
        return decode(ends, None, moves, CENTER_SIZE)


def anchors_of(boxes, stride, size):
    """The anchors at all places of a map, (H * W * A, 4): row by row, column by column.

    boxes   those of the first place, (A, 4)
    size    H and W
    """
    rows, columns = (np.arange(n) * stride for n in size)
    corner = np.stack(np.meshgrid(columns, rows), axis=-1)
    return (np.tile(corner, 2)[:, :, None] + np.array(boxes)).reshape(-1, 4)


def anchors(base_size, ratios, scales):
    """Boxes around a square that begins at pixel 0: for each ratio (height by width) each scale.

    The sides of a ratio are rounded to whole pixels before they are scaled.

    >>> anchors(16, (0.5, 1, 2), (8,)).tolist()
    [[-84.0, -40.0, 99.0, 55.0], [-56.0, -56.0, 71.0, 71.0], [-36.0, -80.0, 51.0, 95.0]]
    """
    centre = (base_size - 1) / 2
    boxes = []
    for ratio in ratios:
        width = np.round(np.sqrt(base_size**2 / ratio))
        height = np.round(width * ratio)
        for scale in scales:
            half = (np.array([width, height]) * scale - 1) / 2
            boxes.append([*(centre - half), *(centre + half)])
    return np.array(boxes)
