"""Regions of a map brought to one size by maxima: the `ROIPooling` layer."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import register, saved, scratch
from minidl.layers.detection.regions import Regions, bins, round_half_up


@register("ROIPooling")
class ROIPooling(Regions):
    r"""Cut each region of a map into bins, and take the maximum of each bin and channel.

    A region's corners, times spatial_scale, are rounded to places of the map; both ends belong to
    it, and it is at least one place wide and high. With its rows cut into pooled_h bins, its
    columns into pooled_w, and bins rounded outwards to whole places,

        y[r, c, i, j] = max(x[image of r, c, places of bin i, j of region r])
        dx = the sum of dy[r, c, i, j] over the bins whose first maximum it is

    A bin that lies outside the map is 0. A NaN may be passed over, as it is in Caffe.

    bottom[0]           the map: (N, C, H, W)
    bottom[1]           regions: (R, 5), image number (-1: none), x1, y1, x2, y2 in pixels of the
                        image; read on the host, and without gradient
    top[0]              (R, C, pooled_h, pooled_w)
    roi_pooling_param   pooled_h, pooled_w, required; spatial_scale (1)

    Source: Girshick 2015 (Fast R-CNN), section 2.1; its fork of Caffe.
    """

    fork = "rbgirshick/caffe-fast-rcnn"
    parameters = ("roi_pooling_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.roi_pooling_param
        self.scale = self.read_scale("roi_pooling_param", "pooled_h", "pooled_w")
        self.size = (p.pooled_h, p.pooled_w)

    def pooled(self, bottom):
        return (bottom[1], *self.size)

    def buffers(self, bottom, regions):
        top = self.top_shapes(bottom, regions)[0]
        return {
            "winner": saved(top, np.intp),
            "place": scratch(top, np.intp),
            "empty": saved(top, np.bool_),
        }

    def forward(self, bottom, top):
        xp, x, y = self.xp, bottom[0].data, top[0].data
        images, boxes = self.read_regions(bottom)
        (top_of, bottom_of), (left_of, right_of) = self._bins(boxes, x.shape)
        self.winner.fill(-1)
        # Channels last: then maxima over columns and rows go over all channels at once.
        turned = {n: xp.ascontiguousarray(x[n].transpose(2, 1, 0)) for n in {*images} - {-1}}
        for r, image in enumerate(images):
            if image >= 0:
                rows, columns = (top_of[r], bottom_of[r]), (left_of[r], right_of[r])
                start = int(image) * x[0].size
                self._find(turned[image], rows, columns, start, self.winner[r])
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
        """Return the edges of the bins: for the rows, then for the columns."""
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

    def _find(self, x, rows, columns, start, winner):
        """Note where in x (W, H, C) the first maximum of each bin is; empty bins stay as they are.

        Over the columns first, then over the rows: of equal maxima that leaves the first one, row
        by row.

        start    where the image begins among all elements of the map
        winner   (C, pooled_h, pooled_w)
        """
        xp, (width, height, channels) = self.xp, x.shape
        first, last = int(rows[0].min()), int(rows[1].max())
        full = [(j, *edges) for j, edges in enumerate(zip(*columns, strict=True))]
        full = [(j, int(left), int(right)) for j, left, right in full if right > left]
        if last <= first or not full:
            return
        found = [self._first_maximum(x[left:right, first:last]) for _, left, right in full]
        # Maxima over the columns of each bin, row by row; then those over its rows.
        value = xp.stack([best for best, _ in found], axis=1)  # (rows, bins, C)
        column = xp.stack([k + left for (_, k), (_, left, _) in zip(found, full, strict=True)], 1)
        bins_of, size = [j for j, _, _ in full], value[0].size
        channel = start + xp.arange(channels) * (height * width)
        for i, (above, below) in enumerate(zip(*rows, strict=True)):
            if below <= above:
                continue
            part = slice(int(above) - first, int(below) - first)
            _, row = self._first_maximum(value[part])
            place = row.reshape(-1).astype(np.intp) * size + xp.arange(size)
            place = xp.take(column[part].reshape(-1), place).reshape(row.shape).astype(np.intp)
            place += (row + int(above)) * width
            place += channel
            winner[:, i, bins_of] = place.T

    def _first_maximum(self, values):
        """Return the maximum over the first axis, and the first place that has it."""
        best = values[0].copy()
        place = self.xp.zeros(best.shape, np.int32)
        for k in range(1, len(values)):
            higher = (values[k] > best).astype(np.int32)
            higher *= k
            self.xp.maximum(place, higher, out=place)
            self.xp.maximum(best, values[k], out=best)
        return best, place
