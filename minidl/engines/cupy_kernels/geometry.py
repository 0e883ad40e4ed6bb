"""The sizes of a convolution as this engine's kernels take them."""

from __future__ import annotations

import math
from typing import NamedTuple

from minidl import ops
from minidl.engines.request import Request

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """Filters between two sides, whichever of them is the bottom.

    The *image* is what the filters slide over, (N, channels, *size); the *map* has one element for
    each of their places, (N, maps, *out): bottom and top of a Convolution, top and bottom of a
    Deconvolution.
    """

    images: int
    channels: int
    maps: int
    size: Pair
    out: Pair
    kernel: Pair
    stride: Pair
    pad: Pair
    dilation: Pair
    group: int

    @property
    def places(self) -> int:
        """Places of a filter on one image."""
        return math.prod(self.out)

    @property
    def taps(self) -> int:
        """Rows of the columns: the elements that all filters of all groups see together."""
        return self.channels * math.prod(self.kernel)

    @property
    def filters(self) -> int:
        """Elements of the filters."""
        return self.maps * self.taps // self.group

    @property
    def pointwise(self) -> bool:
        """Whether each image is its own columns."""
        return self.kernel == self.stride == (1, 1) and self.pad == (0, 0)

    @property
    def depthwise(self) -> bool:
        """Whether each filter sees one channel."""
        return self.channels == self.group > 1

    @property
    def image_elements(self) -> int:
        """Elements of one image."""
        return self.channels * math.prod(self.size)

    @property
    def map_elements(self) -> int:
        """Elements of the maps of one image."""
        return self.maps * self.places

    def spatial(self) -> tuple[int, ...]:
        """Return height to dilation, in the order in which kernels take them."""
        each = self.size, self.out, self.kernel, self.stride, self.pad, self.dilation
        return tuple(number for pair in each for number in pair)


def geometry(op: ops.Conv, request: Request) -> Geometry:
    """Describe a convolution over one or two axes; one axis is an image of one row."""
    axes = len(request.params[0][1]) - 2
    (bottom,), (top,), op = request.bottom_shapes, request.top_shapes, op.over(axes)
    image, map_ = (top, bottom) if op.transposed else (bottom, top)

    def pair(values: tuple[int, ...], missing: int) -> Pair:
        height, width = (missing,) * (2 - axes) + tuple(values)
        return height, width

    return Geometry(
        images=math.prod(bottom[: -axes - 1]),
        channels=image[-axes - 1],
        maps=map_[-axes - 1],
        size=pair(image[-axes:], 1),
        out=pair(map_[-axes:], 1),
        kernel=pair(op.kernel, 1),
        stride=pair(op.stride, 1),
        pad=pair(op.pad, 0),
        dilation=pair(op.dilation, 1),
        group=op.group,
    )
