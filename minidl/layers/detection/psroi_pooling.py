"""Each part of a region by channels of its own: the `PSROIPooling` layer."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import register
from minidl.layers.detection.regions import Regions, bins, round_half_up


@register("PSROIPooling")
class PSROIPooling(Regions):
    r"""Average each part of a region over channels that are there for this part alone.

    A region is cut into group_size x group_size bins. Its corners are rounded to pixels, both
    included, and then scaled, so its bins begin and end between places of the map; each takes all
    places that it touches. With G = group_size,

        y[r, c, i, j] = mean(x[image of r, (c * G + i) * G + j, places of bin i, j of region r])
        dx = the sum of dy[r, c, i, j] / places of the bin, over the bins that hold it

    A bin that lies outside the map is 0.

    bottom[0]             the map: (N, output_dim * G * G, H, W)
    bottom[1]             regions: (R, 5), image number (-1: none), x1, y1, x2, y2 in pixels of the
                          image; read on the host, and without gradient
    top[0]                (R, output_dim, G, G)
    psroi_pooling_param   spatial_scale, output_dim, group_size: all required

    Source: Dai, Li, He & Sun 2016 (R-FCN), section 2; their fork of Caffe, where it runs on GPUs
    only.
    """

    fork = "daijifeng001/caffe-rfcn"
    parameters = ("psroi_pooling_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.psroi_pooling_param
        self.scale = self.read_scale("psroi_pooling_param", "output_dim", "group_size")
        self.channels, self.group = p.output_dim, p.group_size
        self._parts = []

    def pooled(self, bottom):
        channels = self.channels * self.group**2
        if bottom[1] != channels:
            self.reject(
                f"the map {bottom} has {bottom[1]} channels",
                expected=f"output_dim * group_size**2 = {channels}",
            )
        return (self.channels, self.group, self.group)

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        self._parts = list(self._find(bottom))
        y.fill(0)
        for one, part, area in self._parts:
            y[one] = x[part].sum(axis=(1, 2)) / area

    def backward(self, top, wanted, bottom):
        dx, dy = bottom[0].diff, top[0].diff
        dx.fill(0)
        for one, part, area in self._parts:
            dx[part] += (dy[one] / area)[:, None, None]

    def _find(self, bottom):
        """(index of the top, index of the map, places) for each bin that is not empty."""
        images, boxes = self.read_regions(bottom)
        scale = boxes.dtype.type(self.scale)
        corners = round_half_up(boxes)
        corners[:, 2:] += 1  # a region ends with its last pixel
        corners *= scale
        (left, right), (above, below) = (
            bins(start, np.maximum(end - start, scale.dtype.type(0.1)), self.group, size)
            for start, end, size in zip(
                *(corners[:, :2].T, corners[:, 2:].T, bottom[0].shape[:1:-1]), strict=True
            )
        )
        for r, i, j in np.ndindex(len(images), self.group, self.group):
            rows, columns = below[r, i] - above[r, i], right[r, j] - left[r, j]
            if images[r] < 0 or rows <= 0 or columns <= 0:
                continue
            # Every bin reads channels of its own
            channels = slice(i * self.group + j, None, self.group**2)
            places = slice(above[r, i], below[r, i]), slice(left[r, j], right[r, j])
            yield (r, slice(None), i, j), (int(images[r]), channels, *places), int(rows * columns)
