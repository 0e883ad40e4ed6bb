"""Labels and targets of anchors for a region proposal network: the `AnchorTarget` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register
from minidl.layers.detection.boxes import CENTER_SIZE, encode, overlaps
from minidl.layers.detection.proposal import anchors, anchors_of

NOTHING, BACKGROUND, OBJECT = -1, 0, 1  # labels of anchors


@register("AnchorTarget")
class AnchorTarget(Layer):
    r"""Label the anchors of an image by the objects in it, and say where each is to be moved.

    Of the anchors within the image, by more than allowed_border beyond it at most,

        object       each whose overlap with some object is at least positive_overlap, or the
                     largest that any anchor has with that object
        background   of the others each whose overlap is below negative_overlap with all objects
        neither      the rest, and all that are not within the image

    At most batch_size anchors keep their label, and of objects at most fg_fraction of that; which
    of too many, is drawn at random in every pass. A target is where the object with the largest
    overlap lies, from the anchor: ((x - xa) / wa, (y - ya) / ha, log(w / wa), log(h / ha)), centres
    and sides counting both end pixels.

    bottom[0]   scores: (1, ?, H, W), of which only H and W matter
    bottom[1]   the objects: (G, 4 or more): x1, y1, x2, y2 in pixels; the class is not read
    bottom[2]   the image: (1, 3), its height, width and scale
    bottom[3]   optional, not read: the image's pixels
    top[0]      labels: (1, 1, A H, W): 1 object, 0 background, -1 neither
    top[1]      targets: (1, 4 A, H, W); 0 for anchors outside
    top[2]      weights of targets: 1 for objects, else 0
    top[3]      weights of the loss: 1 / number of labelled anchors for those, else 0

    anchor_target_param   feat_stride (16), base_size (16), ratio (0.5, 1, 2), scale (8, 16,
                          32): the anchors, as Proposal has them; allowed_border (0), batch_size
                          (256), fg_fraction (0.5), positive_overlap (0.7), negative_overlap (0.3)

    All of it runs on the host: a GPU is waited for in every pass. There is no gradient.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1.2; rbgirshick/py-faster-rcnn,
    lib/rpn/anchor_target_layer.py, with the settings of its config.
    """

    family = "detection"
    fork = "py-faster-rcnn's rpn.anchor_target_layer"
    parameters = ("anchor_target_param",)
    bottoms = (3, 4)
    tops = 4
    no_gradient = (0, 1, 2, 3)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.anchor_target_param
        self.check_positive("anchor_target_param", "feat_stride", "base_size", "batch_size")
        if not 0 <= p.fg_fraction <= 1:
            self.reject_field("anchor_target_param.fg_fraction", expected="a share, 0 to 1")
        ratios, scales = tuple(p.ratio) or (0.5, 1, 2), tuple(p.scale) or (8, 16, 32)
        if min(ratios + scales) <= 0:
            self.reject(f"ratio is {ratios} and scale {scales}", expected="numbers above 0")
        self.p = p
        self.anchors = tuple(map(tuple, anchors(p.base_size, ratios, scales).tolist()))

    def top_shapes(self, scores, objects, image, *pixels):
        names = self.spec.bottom
        if len(scores) != 4 or scores[0] != 1 or 0 in scores[2:]:
            self.reject(f"'{names[0]}' is {scores}", expected="(1, ?, H, W), for one image")
        if len(objects) != 2 or objects[0] < 1 or objects[1] < 4:
            self.reject(f"'{names[1]}' is {objects}", expected="(G, 5): x1, y1, x2, y2, class")
        if np.prod(image) < 3:
            self.reject(f"'{names[2]}' is {image}", expected="(1, 3): height, width and scale")
        a, (height, width) = len(self.anchors), scores[2:]
        boxes = (1, 4 * a, height, width)
        return ((1, 1, a * height, width), boxes, boxes, boxes)

    def sample_bottoms(self, shapes, rng):
        scores, objects, image, *pixels = shapes
        size = np.array(scores[:1:-1]) * self.p.feat_stride  # width, height
        corner = rng.random((objects[0], 2)) * size / 2
        boxes = np.zeros(objects)
        boxes[:, :4] = np.concatenate([corner, corner + 1 + rng.random(corner.shape) * size / 2], 1)
        info = np.zeros(image)
        info.reshape(-1)[:3] = size[1], size[0], 1
        rest = [rng.standard_normal(shape) for shape in pixels]
        return [rng.standard_normal(scores), boxes, info, *rest]

    def forward(self, bottom, top):
        size = bottom[0].shape[2:]
        objects, image = (self.ctx.device.to_host(blob.data) for blob in bottom[1:3])
        places = anchors_of(self.anchors, self.p.feat_stride, size).astype(objects.dtype)
        labels = np.full(len(places), NOTHING, objects.dtype)
        targets, inside, outside = np.zeros((3, len(places), 4), objects.dtype)
        within = np.flatnonzero(self._within(places, image.reshape(-1)))
        found, nearest = self._labels(places[within], objects[:, :4])
        labels[within] = found
        targets[within] = offsets(places[within], objects[nearest, :4])
        inside[labels == OBJECT] = 1  # only objects have offsets to learn
        outside[labels != NOTHING] = 1 / max(1, int((labels != NOTHING).sum()))
        for blob, values in zip(top, (labels, targets, inside, outside), strict=True):
            channels = len(self.anchors) * math.prod(values.shape[1:])
            # (H, W, A ...) -> channels first
            by_place = values.reshape(*size, channels).transpose(2, 0, 1)
            self.ctx.device.write(blob.data, by_place.reshape(blob.shape))

    def _within(self, places, image):
        height, width = image[:2]
        border = self.p.allowed_border
        low = (places[:, :2] >= -border).all(axis=1)
        return low & (places[:, 2] < width + border) & (places[:, 3] < height + border)

    def _labels(self, places, objects):
        """Return the labels of anchors, and for each the object with the largest overlap."""
        shared = np.stack([overlaps(box, places, extent=1) for box in objects])
        nearest, most = shared.argmax(axis=0), shared.max(axis=0)
        labels = np.full(len(places), NOTHING)
        labels[most < self.p.negative_overlap] = BACKGROUND
        if len(places):
            # Every object's best anchors, however small the overlap.
            labels[(shared == shared.max(axis=1, keepdims=True)).any(axis=0)] = OBJECT
        labels[most >= self.p.positive_overlap] = OBJECT
        rng = self.random()
        self._thin(labels, OBJECT, int(self.p.fg_fraction * self.p.batch_size), rng)
        left = self.p.batch_size - int((labels == OBJECT).sum())
        self._thin(labels, BACKGROUND, left, rng)
        return labels, nearest

    def _thin(self, labels, label, most, rng):
        """Take the label away at random where more than `most` have it."""
        those = np.flatnonzero(labels == label)
        if len(those) > most:
            labels[rng.choice(those, len(those) - most, replace=False)] = NOTHING


def offsets(places, objects):
    """Return the offsets from anchors or regions to objects, both end pixels counted in their
    sides."""
    ends = np.array([0, 0, 1, 1], places.dtype)
    with np.errstate(all="ignore"):  # an object that ends before it begins has no size
        return encode(places + ends, None, objects + ends, CENTER_SIZE)
