"""Regions moved to where a detector says that the objects are: the `DecodeBBox` layer."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import Layer, register
from minidl.layers.detection.boxes import CENTER_SIZE, decode
from minidl.layers.folding import matrix

END = np.array([0, 0, 1, 1])  # a box ends with the pixel of its last corner


@register("DecodeBBox")
class DecodeBBox(Layer):
    r"""Move and scale regions by their offsets, for the next stage of a cascade or for the result.

    With t = bbox_std * offset + bbox_mean, and w, h and (cx, cy) the sides, both end pixels
    counted, and the centre of a region,

        centre  (cx + tx w, cy + ty h)
        sides   (w exp(tw), h exp(th))

    In TRAIN a region is dropped where a side comes out below 1 or, with a third bottom, where it
    lies on an object with an overlap of gt_iou_thr or more: an object that was itself put among the
    regions. What is dropped has image number -1 and zeros in its row, which ProposalTarget,
    ROIPooling and their like pass over; so has a region that was image -1 before. In the fork the
    top is as much shorter.

    bottom[0]   offsets: (R, 8), with any more axes of size 1; numbers 4 to 7 of each row are read,
                those of the objects, not those of the background
    bottom[1]   regions: (R, 5), or likewise: image number, x1, y1, x2, y2
    bottom[2]   optional, in TRAIN: (R, D), the last number of each its overlap with an object
    top[0]      the shape of bottom[1]

    bbox_reg_param      bbox_mean (0), bbox_std (1): four numbers each, or none; cls_aware is not
                        read, as in the fork
    decode_bbox_param   gt_iou_thr (0.95)

    All of it runs on the host: a GPU is waited for. There is no gradient.

    Source: Cai & Vasconcelos 2018 (Cascade R-CNN); zhaoweicai/cascade-rcnn, decode_bbox_layer.cpp.
    """

    family = "detection"
    fork = "zhaoweicai/cascade-rcnn"
    parameters = ("bbox_reg_param", "decode_bbox_param")
    bottoms = (2, 3)
    no_gradient = (0, 1, 2)
    differentiable = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.bbox_reg_param
        for name in ("bbox_mean", "bbox_std"):
            if len(getattr(p, name)) not in (0, 4):
                self.reject(
                    f"{name} has {len(getattr(p, name))} numbers",
                    expected="four or none",
                    field=f"bbox_reg_param.{name}",
                )
        if bool(p.bbox_mean) != bool(p.bbox_std):
            self.reject("has one of bbox_mean and bbox_std", expected="both, or none")
        if any(not std > 0 for std in p.bbox_std):
            self.reject_field("bbox_reg_param.bbox_std", expected="numbers above 0")
        if len(spec.bottom) > 2 and not ctx.training:
            self.reject(f"has a third bottom, '{spec.bottom[2]}', which is for phase TRAIN alone")

    def top_shapes(self, offsets, regions, overlaps=None):
        names = self.spec.bottom
        for name, shape, count in zip(names, (offsets, regions), (8, 5), strict=False):
            if len(shape) < 2 or shape[:2] != (*regions[:1], count) or set(shape[2:]) - {1}:
                self.reject(f"'{name}' is {shape}", expected=f"rows of {count} numbers, as many")
        if overlaps is not None and (
            len(overlaps) < 2 or overlaps[0] != regions[0] or 0 in overlaps[1:]
        ):
            self.reject(f"'{names[2]}' is {overlaps}", expected=f"{regions[0]} rows of numbers")
        return (regions,)

    def sample_bottoms(self, shapes, rng):
        regions = np.zeros((shapes[1][0], 5))
        regions[:, 1:3] = rng.random((len(regions), 2)) * 20
        regions[:, 3:] = regions[:, 1:3] + rng.random((len(regions), 2)) * 9
        rest = [rng.random(shape) for shape in shapes[2:]]
        return [rng.standard_normal(shapes[0]) / 2, regions.reshape(shapes[1]), *rest]

    def forward(self, bottom, top):
        offsets, regions, *overlaps = (
            matrix(self.ctx.device.to_host(blob.data), 1) for blob in bottom
        )
        p = self.spec.bbox_reg_param
        moves = offsets[:, 4:]
        if p.bbox_std:
            moves = moves * np.array(p.bbox_std, moves.dtype) + np.array(p.bbox_mean, moves.dtype)
        dropped = regions[:, 0] < 0
        out = np.empty_like(regions)
        out[:, 0] = regions[:, 0]
        out[:, 1:] = self._moved(regions[:, 1:], moves)
        if self.ctx.training:
            dropped |= (out[:, 1] > out[:, 3]) | (out[:, 2] > out[:, 4])
        if overlaps:
            dropped |= overlaps[0][:, -1] >= self.spec.decode_bbox_param.gt_iou_thr
        out[dropped] = (-1, 0, 0, 0, 0)
        self.ctx.device.write(top[0].data, out.reshape(top[0].shape))

    @staticmethod
    def _moved(boxes, moves):
        """The boxes moved, both end pixels counted in their sides."""
        end = END.astype(boxes.dtype)
        with np.errstate(over="ignore"):
            return decode(boxes + end, None, moves, CENTER_SIZE) - end
