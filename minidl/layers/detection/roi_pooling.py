"""Regions of a map brought to one size by maxima: the `ROIPooling` layer."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.detection.regions import Regions, bins, check_pooled, round_half_up


@register("ROIPooling")
class ROIPooling(Regions):
    r"""Cut each region of a map into bins, and take the maximum of each bin and channel.

    A region's corners, times spatial_scale, are rounded to places of the map; both ends belong to
    it, and it is at least one place wide and high. With its rows cut into pooled_h bins, its
    columns into pooled_w, and bins rounded outwards to whole places,

        y[r, c, i, j] = max(x[image of r, c, places of bin i, j of region r])
        dx = the sum of dy[r, c, i, j] over the bins whose first maximum it is

    A bin that lies outside the map is 0.

    bottom[0]           the map: (N, C, H, W)
    bottom[1]           regions: (R, 5), image number (-1: none), x1, y1, x2, y2 in pixels of the
                        image; read on the host, and without gradient
    top[0]              (R, C, pooled_h, pooled_w)
    roi_pooling_param   pooled_h, pooled_w, required; spatial_scale (1)

    Source: Girshick 2015 (Fast R-CNN), section 2.1; its fork of Caffe.
    """

    parameters = ("roi_pooling_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.roi_pooling_param
        check_pooled(self, p, "roi_pooling_param")
        self.size, self.scale = (p.pooled_h, p.pooled_w), p.spatial_scale

    def pooled(self, bottom):
        return (bottom[1], *self.size)

    def buffers(self, bottom, regions):
        top = self.top_shapes(bottom, regions)[0]
        return {"winner": saved(top, np.intp), "place": scratch(top, np.intp)} | {
            "empty": saved(top, np.bool_)
        }

    def forward(self, bottom, top):
        xp, x, y = self.xp, bottom[0].data, top[0].data
        images, boxes = self.read_regions(bottom)
        (top_of, bottom_of), (left_of, right_of) = self._bins(boxes, x.shape)
        self.winner.fill(-1)
        for r, image in enumerate(images):
            if image >= 0:
                rows, columns = (top_of[r], bottom_of[r]), (left_of[r], right_of[r])
                self._find(x[image], rows, columns, self.winner[r])
                self.winner[r][self.winner[r] >= 0] += int(image) * x[0].size
        xp.less(self.winner, 0, out=self.empty)
        xp.maximum(self.winner, 0, out=self.place)
        xp.take(x.reshape(-1), self.place, out=y)
        xp.copyto(y, 0, where=self.empty)

    def backward(self, top, wanted, bottom):
        xp, dx, dy = self.xp, bottom[0].diff, top[0].diff
        dx.fill(0)
        xp.maximum(self.winner, 0, out=self.place)
        share = xp.where(self.empty, xp.zeros_like(dy), dy)
        xp.add.at(dx.reshape(-1), self.place.reshape(-1), share.reshape(-1))

    def _bins(self, boxes, shape):
        """Where bins begin and end: for the rows, then for the columns."""
        corners = round_half_up(boxes * boxes.dtype.type(self.scale))
        axes = []
        for first, count, size in ((1, self.size[0], shape[2]), (0, self.size[1], shape[3])):
            start, end = corners[:, first], corners[:, first + 2]
            length = np.maximum(end - start + 1, 1)
            # Bins are cut before the start is added, as Caffe does it: the sums round otherwise.
            whole = np.zeros_like(start)
            edges = bins(whole, length, count, 1 << 30)
            axes.append([np.clip(e + start[:, None], 0, size).astype(int) for e in edges])
        return axes

    def _find(self, x, rows, columns, winner):
        """Note where in x (C, H, W) the first maximum of each bin is; empty bins stay as they are.

        Over the columns first, then over the rows: of equal maxima that leaves the first one, row
        by row.
        """
        xp, (channels, height, width) = self.xp, x.shape
        start = xp.arange(channels) * (height * width)
        for j, (left, right) in enumerate(zip(*columns, strict=True)):
            if right <= left:
                continue
            part = x[:, :, left:right]
            best, where = part.max(axis=2), part.argmax(axis=2)
            for i, (above, below) in enumerate(zip(*rows, strict=True)):
                if below <= above:
                    continue
                row = best[:, above:below].argmax(axis=1) + int(above)
                column = xp.take(where.reshape(-1), xp.arange(channels) * height + row) + int(left)
                winner[:, i, j] = start + row * width + column
