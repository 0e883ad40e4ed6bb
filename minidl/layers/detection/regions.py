"""Base of the layers that bring regions of a map to one size: regions and their bins."""

from __future__ import annotations

import numpy as np

from minidl.errors import LabelError
from minidl.layers.base import Layer


class Regions(Layer):
    """A layer with regions in bottom[1]: rows of image number, x1, y1, x2, y2 in pixels.

    The image number is -1 in a row that holds no region, as Proposal leaves some; all that comes of
    it is 0. Regions are read on the host, since they decide which parts of the map are looked at: a
    GPU is waited for in every pass.
    """

    family = "detection"
    bottoms = 2
    no_gradient = (1,)

    def read_scale(self, message, *sizes):
        """Return spatial_scale; refuse one that is not above 0, and sizes below 1."""
        self.check_positive(message, *sizes)
        scale = getattr(self.spec, message).spatial_scale
        if not scale > 0:
            self.reject(
                f"spatial_scale is {scale:g}",
                field=f"{message}.spatial_scale",
                expected="places of the map for each pixel of the image, such as 0.0625",
            )
        return scale

    def top_shapes(self, bottom, regions):
        if len(bottom) != 4 or 0 in bottom:
            self.reject(f"the map is {bottom}", expected="4 axes (N, C, H, W), none of them 0")
        if not regions or np.prod(regions[1:]) != 5:
            self.reject(
                f"the regions '{self.spec.bottom[1]}' are {regions}",
                expected="(R, 5): image number, x1, y1, x2, y2",
            )
        return ((regions[0], *self.pooled(bottom)),)

    def pooled(self, bottom):
        """The shape of what a region becomes: (channels, rows, columns)."""
        raise NotImplementedError

    def sample_bottoms(self, shapes, rng):
        (n, _, h, w), (count, *_) = shapes
        regions = np.empty((count, 5))
        regions[:, 0] = rng.integers(n, size=count)
        for first, extent in ((1, w), (2, h)):
            ends = np.sort(rng.uniform(-1, extent, (count, 2)) / self.scale, axis=1)
            regions[:, [first, first + 2]] = ends
        return [rng.standard_normal(shapes[0]), regions.reshape(shapes[1])]

    def read_regions(self, bottom):
        """(image numbers, boxes (R, 4)) on the host; refuses a number that is no image's."""
        rows = self.ctx.device.to_host(bottom[1].data).reshape(-1, 5)
        images, count = rows[:, 0], bottom[0].shape[0]
        wrong = ~((images >= -1) & (images < count) & (images == np.floor(images)))
        if wrong.any():
            first = int(np.argmax(wrong))
            raise LabelError(
                f"region {first} of '{self.spec.bottom[1]}' is of image {images[first]:g}",
                where=self.where,
                expected=f"a whole number from 0 to {count - 1}, or -1 for no region",
                item=first,
                value=float(images[first]),
            )
        return images.astype(int), np.array(rows[:, 1:])


def round_half_up(values):
    """To whole numbers as C's `round` does: halves away from 0."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def bins(start, length, count, size):
    """Return the first place of each region's bins along one axis of `size` places, and the first
    behind them.

    start, length   (R), in places of the map; bins overlap where they share a place

    Returns two integer arrays (R, count); a bin that is empty ends where it begins, or before.
    """
    number = np.arange(count, dtype=start.dtype)
    each = (length / start.dtype.type(count))[:, None]
    begin = np.floor(number * each + start[:, None])
    end = np.ceil((number + 1) * each + start[:, None])
    return [np.clip(edge, 0, size).astype(int) for edge in (begin, end)]
