"""From an RPN's scores and offsets to pieces of text lines: the `TextProposal` layer."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import register, scratch
from minidl.layers.detection.proposal import OfAnchors, anchors_of

HEIGHTS = (11, 16, 23, 33, 48, 68, 97, 139, 198, 283)
A = len(HEIGHTS)


@register("TextProposal")
class TextProposal(OfAnchors):
    r"""Move anchors up and down to where the text is: columns 16 pixels wide, of any height.

    At each place of the map there are A = 10 anchors of heights 11 to 283 in one column. With cy
    and h the centre and the height of one, its offsets (d, e) make of it the box

        y1 = h d + cy - h exp(e) / 2        y2 = y1 + h exp(e)

    whose ends x1 and x2 stay, all of them cut off at the image's border. None is dropped.

    bottom[0]   scores: (1, 2 A, H, W), of which the last A say how likely a text is
    bottom[1]   offsets: (1, 2 A, H, W): d and e of each anchor in turn
    bottom[2]   the image: (1, 2) or more, its height and width
    top[0]      boxes: (H W A, 4): x1, y1, x2, y2, row by row of the map, column by column
    top[1]      optional: their scores, (H W A, 1)
    text_proposal_param   feat_stride (16): pixels for each place of the map

    There is no gradient. CTPN has it as a Python layer, `layers.text_proposal_layer`, and a program
    that drops and connects the boxes. Anchors end at whole rows: that of 23 goes from -3 to 18,
    which is one less.

    Source: Tian et al. 2016; tianzhi0549/CTPN, src/anchor.py, as Python 2 divides.
    """

    fork = "tianzhi0549/CTPN, a Python layer"
    parameters = ("text_proposal_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.check_positive("text_proposal_param", "feat_stride")
        self.stride = spec.text_proposal_param.feat_stride

    def top_shapes(self, scores, offsets, image):
        self.check_maps(scores, offsets, A, 2)
        if np.prod(image) < 2:
            self.reject(f"'{self.spec.bottom[2]}' is {image}", expected="(1, 2): height and width")
        count = A * scores[2] * scores[3]
        return ((count, 4), (count, 1))[: len(self.spec.top)]

    def buffers(self, scores, offsets, image):
        place = scratch((*scores[2:], A))
        return {"first": place, "last": place, "most": scratch((2,))}

    def forward(self, bottom, top):
        scores, offsets, image = (blob.data for blob in bottom)
        size, xp = scores.shape[2:], self.xp
        places = self.table(_anchors, self.stride, size, np.dtype(self.dtype).str)
        move, grow = offsets.reshape(A, 2, *size).transpose(1, 2, 3, 0)
        boxes = top[0].data.reshape(*size, A, 4)
        boxes[..., 0], boxes[..., 2] = places[..., 0], places[..., 2]
        centre, height = places[..., 1], places[..., 3]
        xp.exp(grow, out=self.last)
        self.last *= height
        self.last /= 2  # half of the height
        xp.multiply(move, height, out=self.first)
        self.first += centre
        self.first -= self.last
        self.last *= 2
        self.last += self.first
        boxes[..., 1], boxes[..., 3] = self.first, self.last
        xp.subtract(image.reshape(-1)[:2], 1, out=self.most)
        for ends, most in ((boxes[..., 0::2], self.most[1:]), (boxes[..., 1::2], self.most[:1])):
            xp.minimum(ends, most, out=ends)
            xp.maximum(ends, 0, out=ends)
        if len(top) > 1:
            top[1].data.reshape(*size, A)[...] = scores[0, A:].transpose(1, 2, 0)


def _anchors(stride, size, dtype):
    """Return the anchors at all places of a map, (H, W, A, 4): x1, centre, x2, height."""
    rows = [(int(7.5 - height // 2), int(7.5 + height // 2)) for height in HEIGHTS]
    boxes = [(0, (first + last) / 2, 15, (first + last) / 2) for first, last in rows]
    places = anchors_of(boxes, stride, size).reshape(*size, A, 4)
    places[..., 3] = [last - first + 1 for first, last in rows]
    return places.astype(dtype)
