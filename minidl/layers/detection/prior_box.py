"""Boxes at every place of a map, to be moved and scaled by what a net predicts: `PriorBox`."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register

SAME = 1e-6  # aspect ratios closer than this are one


@register("PriorBox")
class PriorBox(Layer):
    r"""Boxes of the sizes and shapes that are to be expected, at every place of a map.

    At row i and column j of the map the boxes have their centre, in pixels of the image, at
    ((j + offset) * step_w, (i + offset) * step_h). For each min_size s, with the max_size S of the
    same number, come in this order

        a square of side s
        a square of side sqrt(s * S), if there are max_sizes
        for each aspect ratio a: width s * sqrt(a), height s / sqrt(a)

    bottom[0]         the map, (N, C, H, W); only its shape matters
    bottom[1]         the images, (N, 3, image height, image width); only the shape matters
    top[0]            (1, 2, H * W * boxes * 4): first the boxes as xmin, ymin, xmax, ymax in parts
                      of the image's width and height, box after box, column after column, row
                      after row; then the variances that belong to each of these numbers

    prior_box_param
        min_size, max_size      in pixels, at least one min_size; fractions are cut off. Either no
                                max_size or as many, each larger than its min_size
        aspect_ratio            beside 1, which is always there; no ratio counts twice
        flip (true)             with each ratio a, 1 / a as well
        clip (false)            keep the boxes' corners between 0 and 1
        variance                one number for all, or four; 0.1 if there is none
        img_size, or img_h and img_w    the image's size, if it is not that of bottom[1]
        step, or step_h and step_w      image size / map size if unset
        offset (0.5)

    There is no gradient: the boxes follow from the shapes alone, and are made once.

    Source: Liu et al. 2016 (SSD), section 2.2; sizes and order as in its branch of Caffe.
    """

    family = "detection"
    fork = "weiliu89/caffe, branch ssd"
    parameters = ("prior_box_param",)
    bottoms = 2
    no_gradient = (0, 1)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.prior_box_param
        self.min_sizes, self.max_sizes = list(map(int, p.min_size)), list(map(int, p.max_size))
        self.offset, self.clip = p.offset, p.clip
        self._check_sizes()
        self.ratios = self._ratios(p)
        self.variances = self._variances(p)
        self.image = self._pair("img_size", "img_h", "img_w")
        self.step = self._pair("step", "step_h", "step_w")

    def _check_sizes(self):
        if not self.min_sizes or min(self.min_sizes) < 1:
            found = f"min_size is {self.min_sizes}" if self.min_sizes else "min_size is missing"
            self.reject(found, expected="at least one, each 1 pixel or more")
        if self.max_sizes and len(self.max_sizes) != len(self.min_sizes):
            self.reject(
                f"has {len(self.max_sizes)} max_size for {len(self.min_sizes)} min_size",
                expected="none, or one for each min_size",
                field="prior_box_param.max_size",
            )
        for small, large in zip(self.min_sizes, self.max_sizes, strict=False):
            if large <= small:
                self.reject(
                    f"max_size {large} beside min_size {small}",
                    expected="a max_size above its min_size",
                    field="prior_box_param.max_size",
                )

    def _ratios(self, p):
        """The aspect ratios beside 1, in order."""
        ratios = [1.0]
        for ratio in p.aspect_ratio:
            if not (ratio > 0 and math.isfinite(ratio)):
                self.reject(
                    f"aspect_ratio is {ratio:g}",
                    expected="a number above 0",
                    field="prior_box_param.aspect_ratio",
                )
            if all(abs(ratio - other) >= SAME for other in ratios):  # one given twice counts once
                ratios += [ratio, 1 / ratio] if p.flip else [ratio]
        return tuple(ratios[1:])

    def _variances(self, p):
        values = tuple(p.variance) or (0.1,)
        if len(values) not in (1, 4) or min(values) <= 0:
            self.reject(
                f"variance is {values}",
                expected="one number for all, or four; above 0",
                field="prior_box_param.variance",
            )
        return values * 4 if len(values) == 1 else values

    def _pair(self, single, first, second):
        """Return a field, or its forms for height and width; None where none of them is given."""
        p = self.spec.prior_box_param
        given = [name for name in (single, first, second) if p.HasField(name)]
        if given not in ([], [single], [first, second]):
            self.reject(
                f"{' and '.join(given)} given",
                expected=f"{single}, or {first} and {second}",
                field=f"prior_box_param.{given[0]}",
            )
        if any(getattr(p, name) <= 0 for name in given):
            self.reject(f"{given[0]} is {getattr(p, given[0]):g}", expected="a number above 0")
        if not given:
            return None
        return (getattr(p, given[0]), getattr(p, given[-1]))

    def top_shapes(self, features, image):
        for name, shape in zip(self.spec.bottom, (features, image), strict=True):
            if len(shape) != 4 or 0 in shape:
                self.reject(
                    f"'{name}' has the shape {shape}",
                    expected="4 axes (N, C, H, W), none of them 0",
                )
        each = len(self.min_sizes) * (1 + len(self.ratios)) + len(self.max_sizes)
        return ((1, 2, features[2] * features[3] * each * 4),)

    def forward(self, bottom, top):
        top[0].data[...] = self.boxes(bottom[0].shape, bottom[1].shape)

    def boxes(self, features, image):
        """Return the values of the top for bottoms of these shapes, on the layer's device."""
        size, image = features[2:], self.image or image[2:]
        step = self.step or tuple(i / s for i, s in zip(image, size, strict=True))
        return self.table(
            boxes_and_variances,
            *(size, image, step, self.offset, self._sides(), self.clip, self.variances),
        )

    def _sides(self):
        """Width and height of the boxes at each place, in pixels."""
        sides = []
        for i, small in enumerate(self.min_sizes):
            sides.append((small, small))
            if self.max_sizes:
                # The geometric mean of both sizes
                sides.append((math.sqrt(small * self.max_sizes[i]),) * 2)
            sides += [(small * math.sqrt(a), small / math.sqrt(a)) for a in self.ratios]
        return tuple(sides)


def boxes_and_variances(size, image, step, offset, sides, clip, variances):
    """The top of a PriorBox: (1, 2, H * W * boxes * 4)."""
    height, width = size
    # (H, 1, 1): in pixels, like centre_x
    centre_y = ((np.arange(height) + offset) * step[0])[:, None, None]
    centre_x = ((np.arange(width) + offset) * step[1])[:, None]
    half_w, half_h = np.array(sides).T / 2
    boxes = np.empty((height, width, len(sides), 4))
    boxes[..., 0] = (centre_x - half_w) / image[1]
    boxes[..., 1] = (centre_y - half_h) / image[0]
    boxes[..., 2] = (centre_x + half_w) / image[1]
    boxes[..., 3] = (centre_y + half_h) / image[0]
    if clip:
        np.clip(boxes, 0, 1, out=boxes)
    spread = np.broadcast_to(variances, boxes.shape)
    return np.stack([boxes.reshape(-1), spread.reshape(-1)])[None]
