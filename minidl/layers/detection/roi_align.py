"""Regions of a map brought to one size by interpolation: the `ROIAlign` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, saved
from minidl.layers.detection.regions import Regions


@register("ROIAlign")
class ROIAlign(Regions):
    r"""Cut each region of a map into bins, and take the mean of some samples in each of them.

    Corners and bins are not rounded. A bin holds sampling_ratio samples along each side, evenly
    spread; each is interpolated between the four places around it. A sample more than one place
    outside the map is 0, one that is just outside lies on the border. Since interpolation works on
    rows and columns by themselves, with matrices A (pooled_h, H) and B (pooled_w, W) of a region

        y[r, c] = A x[image of r, c] B'             dx[n, c] = sum of A' dy[r, c] B over its regions

    bottom[0]         the map: (N, C, H, W)
    bottom[1]         regions: (R, 5), image number (-1: none), x1, y1, x2, y2 in pixels of the
                      image; read on the host, and without gradient
    top[0]            (R, C, pooled_h, pooled_w)
    roi_align_param   pooled_h, pooled_w, required; spatial_scale (1); sampling_ratio (0: as many
                      samples along a side as places of the map that the bin is long, rounded up)

    Source: He, Gkioxari, Dollar & Girshick 2017 (Mask R-CNN), section 3; the sampling is that of
    Detectron's first release. Forks of Caffe differ in this.
    """

    fork = "the sampling of Detectron; forks differ"
    parameters = ("roi_align_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.roi_align_param
        self.scale = self.read_scale("roi_align_param", "pooled_h", "pooled_w")
        self.size, self.samples = (p.pooled_h, p.pooled_w), p.sampling_ratio
        if self.samples < 0:
            self.reject(f"sampling_ratio is {self.samples}", expected="0 or more")
        self._images = []

    def pooled(self, bottom):
        return (bottom[1], *self.size)

    def buffers(self, bottom, regions):
        (count, *_), (_, _, h, w) = regions, bottom
        return {
            "by_rows": saved((count, self.size[0], h)),
            "by_columns": saved((count, self.size[1], w)),
        }

    def multiply_adds(self, bottom, regions):
        (_, c, h, w), (rows, columns) = bottom, self.size
        return regions[0] * c * (h * w * columns + h * rows * columns)

    def forward(self, bottom, top):
        xp, x, y = self.xp, bottom[0].data, top[0].data
        images, boxes = self.read_regions(bottom)
        self._images = [int(image) for image in images]
        device, corners = self.ctx.device, boxes.astype(np.float64) * self.scale
        for axis, matrices in ((1, self.by_rows), (0, self.by_columns)):
            ends = zip(corners[:, axis], corners[:, axis + 2], strict=True)
            # Interpolation and mean together are linear along each axis: a matrix for each.
            each = [sampling(*e, *matrices.shape[1:], self.samples) for e in ends]
            device.write(matrices, np.stack(each) if each else np.zeros(matrices.shape))
        y.fill(0)
        for r, image in enumerate(self._images):
            if image >= 0:
                y[r] = xp.matmul(self.by_rows[r], xp.matmul(x[image], self.by_columns[r].T))

    def backward(self, top, wanted, bottom):
        xp, dx, dy = self.xp, bottom[0].diff, top[0].diff
        dx.fill(0)
        for r, image in enumerate(self._images):
            if image >= 0:
                dx[image] += xp.matmul(self.by_rows[r].T, xp.matmul(dy[r], self.by_columns[r]))


def sampling(start, end, bins, size, samples):
    """Return the share of each place in each bin, (bins, size). A region has at least the length
    1."""
    each = max(end - start, 1.0) / bins
    samples = samples or math.ceil(each)  # 0: about one for every place
    matrix = np.zeros((bins, size))
    for i, k in np.ndindex(bins, samples):
        place = start + (i + (k + 0.5) / samples) * each
        if not -1 <= place <= size:  # a sample farther out counts as 0
            continue
        place = min(max(place, 0.0), size - 1.0)  # one just outside takes the border's value
        low = int(place)
        matrix[i, low] += 1 - (place - low)
        if place > low:
            matrix[i, low + 1] += place - low
    return matrix / samples
