"""Images to columns and back: what makes a convolution one matrix product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minidl.layers.base import Buffer, scratch
from minidl.ops import Ints


@dataclass(frozen=True)
class Unfolding:
    """The columns of images: which element lies under which tap of a filter, at which position.

    `unfold` writes out, for images (n, C, *size), the matrix of columns

        columns[(c, tap), (image, position)] = padded image[c, position * stride + tap * dilation]

    so that filters (M, C * taps) times columns is their correlation with every image at once.
    `fold` is its transpose: it adds each column element back to where it came from.

    Both work along one spatial axis at a time. For a 5 x 5 filter that is 5 + 5 strided passes
    instead of 25, the second half of them over long runs of memory: 2 to 3 times as fast as
    window by window, or tap by tap, for small images (measured: 64 images of 20 x 12 x 12).

    channels                        C
    size                            the image's spatial extents, any number of them
    kernel, stride, pad, dilation   one number for each spatial axis
    out                             positions along each axis; where the last of them reaches
                                    past the padding there are zeros
    """

    channels: int
    size: Ints
    kernel: Ints
    stride: Ints
    pad: Ints
    dilation: Ints
    out: Ints

    @cached_property
    def rows(self) -> int:
        """Rows of the columns: channels times taps."""
        return self.channels * math.prod(self.kernel)

    @cached_property
    def positions(self) -> int:
        """Positions of the filter on one image."""
        return math.prod(self.out)

    @cached_property
    def pointwise(self) -> bool:
        """True where the columns are the images themselves, but for the order of axes."""
        return self.padded == self.size and not self._axes

    @cached_property
    def padded(self) -> Ints:
        """The spatial extents with the padding, and with what the last position reaches beyond."""
        extents = zip(
            self.size, self.kernel, self.stride, self.pad, self.dilation, self.out, strict=True
        )
        return tuple(
            max(size + 2 * pad, (out - 1) * stride + dilation * (kernel - 1) + 1)
            for size, kernel, stride, pad, dilation, out in extents
        )

    def images_within(self, limit: int, images: int) -> int:
        """Return how many of `images` to unfold at a time: columns of at most `limit` elements, but
        at least one image, and no small remainder at the end."""
        fitting = min(images, max(1, limit // (self.rows * self.positions)))
        turns = -(-images // fitting)  # as few as possible,
        return -(-images // turns)  # all about equally large

    def workspace(self, images: int) -> int:
        """Return how many elements of scratch memory it takes to unfold or fold this many
        images."""
        stages = self._stages(images)[self.padded == self.size :]
        return sum(math.prod(shape) for shape in stages)

    def unfold(self, xp: Any, image: Any, columns: Any, workspace: Any) -> None:
        """Fill `columns` (C * taps, n * positions) from `image` (n, C, *size)."""
        source, *targets = self._arrays(image, columns, workspace)
        if self.padded != self.size:
            source.fill(0)  # the padding
            self._inner(source)[...] = image.swapaxes(0, 1)
        if not self._axes:
            targets[0][...] = source
        # Each stage sets one axis' taps apart; the last stage is the columns themselves.
        for axis, target in zip(self._axes, targets, strict=False):
            self._by_tap(target, axis)[...] = self._windows(xp, source, axis)
            source = target

    def fold(self, columns: Any, image: Any, workspace: Any) -> None:
        """Overwrite `image` (n, C, *size) with the sums of what `columns` holds for it."""
        *targets, source = self._arrays(image, columns, workspace)
        if not self._axes:
            targets[0][...] = source
        # The stages of `unfold` backwards: from the columns, first axis first, to the padded image.
        for axis, target in zip(self._axes[::-1], targets[::-1], strict=False):
            self._add_back(source, target, axis)
            source = target
        if self.padded != self.size:
            image.swapaxes(0, 1)[...] = self._inner(targets[0])

    # ------------------------------------------------------------------ one axis at a time

    @cached_property
    def _axes(self) -> Ints:
        """The axes that have something to be done, last axis first."""
        idle = zip(self.kernel, self.stride, self.padded, self.out, strict=True)
        axes = [a for a, (k, s, size, out) in enumerate(idle) if (k, s, size) != (1, 1, out)]
        return tuple(axes[::-1])

    def _stages(self, images: int) -> list[Ints]:
        """The shape (C, taps so far, n, *extents so far) before each axis is unfolded."""
        taps, extents = 1, list(self.padded)
        shapes = [(self.channels, taps, images, *extents)]
        for axis in self._axes[:-1]:
            taps, extents[axis] = taps * self.kernel[axis], self.out[axis]
            shapes.append((self.channels, taps, images, *extents))
        return shapes

    def _arrays(self, image: Any, columns: Any, workspace: Any) -> list[Any]:
        """One array for each stage, the first maybe the image itself, and then the columns."""
        images, start, arrays = image.shape[0], 0, []
        if self.padded == self.size:
            arrays.append(image.swapaxes(0, 1)[:, None])
        for shape in self._stages(images)[len(arrays) :]:
            end = start + math.prod(shape)
            arrays.append(workspace[start:end].reshape(shape))
            start = end
        return [*arrays, columns.reshape(self.channels, -1, images, *self.out)]

    def _inner(self, padded: Any) -> Any:
        """The image's own place within its padded form (C, 1, n, *padded)."""
        places = (slice(p, p + s) for p, s in zip(self.pad, self.size, strict=True))
        index = (slice(None), 0, slice(None), *places)
        return padded[index]

    def _by_tap(self, array: Any, axis: int) -> Any:
        """A stage with the axis' own taps set apart: (C, kernel, earlier taps, n, *extents)."""
        return array.reshape(array.shape[0], self.kernel[axis], -1, *array.shape[2:])

    def _windows(self, xp: Any, source: Any, axis: int) -> Any:
        """A stage seen through the taps of one axis, as `_by_tap` of the next stage: no copy."""
        channels, earlier, images, *extents = source.shape
        steps = list(source.strides)
        tap = steps[3 + axis] * self.dilation[axis]
        steps[3 + axis] *= self.stride[axis]
        extents[axis] = self.out[axis]
        shape = (channels, self.kernel[axis], earlier, images, *extents)
        # Windows that overlap show the same memory several times.
        return xp.lib.stride_tricks.as_strided(source, shape, (steps[0], tap, *steps[1:]))

    def _add_back(self, source: Any, target: Any, axis: int) -> None:
        """Apply the transpose of `_windows`: add each tap of one stage to where it came from."""
        target.fill(0)
        by_tap, stride = self._by_tap(source, axis), self.stride[axis]
        before, reach = (slice(None),) * (3 + axis), stride * (self.out[axis] - 1) + 1
        # Tap by tap: windows overlap, and one += over all would add only once to a shared element.
        for tap in range(self.kernel[axis]):
            start = tap * self.dilation[axis]
            index = (*before, slice(start, start + reach, stride))
            target[index] += by_tap[:, tap]


class Unfolded:
    """The two sides of a layer with filters as matrices, n of its N images at a time.

    The filters slide over the *image* (N, C, *size), and the *map* (N, M, *out) has an element for
    each filter and position: bottom and top of a Convolution, top and bottom of a Deconvolution.
    For n images and g groups there are

        columns   (g, C / g * taps, n * positions)      of the image, what `Unfolding` makes of it
        maps      (g, M / g, n * positions)             the map, its images side by side
        weights   (g, M / g, C / g * taps)

    so that one product for each group does for all n images. Where filters of one element meet bare
    images (`direct`), the image is its own columns, and nothing is copied: then these are

        columns   (n, g, C / g, positions)              the image itself
        maps      (n, g, M / g, positions)              the map itself

    and `product` makes one for each image and group.

    layer       whose `xp`, `op.group`, and scratch memory as declared by `buffers` are used
    unfolding   of its images
    images      N
    filters     M
    """

    MANY = 32  # positions; from here on a product for each image beats copying the images

    def __init__(self, layer: Any, unfolding: Unfolding, images: int, filters: int) -> None:
        self.layer, self.unfolding, self.images, self.filters = layer, unfolding, images, filters
        self.xp, self.group = layer.xp, layer.op.group
        self.on_host = layer.ctx.device.kind == "cpu"
        self._limit = layer.ctx.workspace_limit // np.dtype(layer.dtype).itemsize
        self.chunk = unfolding.images_within(self._limit, images)
        # On the CPU alone: CuPy makes arrays of pointers for broadcast products in every call.
        possible = self.on_host and not layer.op.transposed
        self.direct = possible and unfolding.pointwise and unfolding.positions >= self.MANY

    def buffers(self) -> dict[str, Buffer]:
        """Return the scratch memory that the layer has to declare."""
        u, group = self.unfolding, self.group
        count, weights = self.chunk * u.positions, u.rows // group
        some = min(self.filters // group, max(1, self._limit // (group * weights)))
        return {
            "columns": scratch((u.rows * count,)),
            "stages": scratch((u.workspace(self.chunk),)),
            "maps": scratch((self.filters * count,)),
            "gradient": scratch((group, some, weights)),
        }

    @property
    def parts(self) -> list[slice]:
        """The images that are worked on at a time, in order."""
        return [slice(i, i + self.chunk) for i in range(0, self.images, self.chunk)]

    def by_group(self, weight: Any) -> Any:
        """Return a weight's values or gradient as (g, M / g, C / g * taps)."""
        return weight.reshape(self.group, self.filters // self.group, -1)

    def images_of(self, image: Any) -> Any:
        """Return the image as (N, C, *size)."""
        return image.reshape(self.images, self.unfolding.channels, *self.unfolding.size)

    # ------------------------------------------------------------------ image and columns

    def columns(self, image: Any, part: slice) -> Any:
        """Return room for the columns of these images, to be filled and given to `fold`."""
        some = self.images_of(image)[part]
        return self._room(some, self.layer.columns, self.unfolding.rows)

    def unfold(self, image: Any, part: slice) -> Any:
        """Return the columns of these images."""
        columns = self.columns(image, part)
        if not self.direct:
            some = self.images_of(image)[part]
            self.unfolding.unfold(self.xp, some, columns, self.layer.stages)
        return columns

    def fold(self, columns: Any, image: Any, part: slice) -> None:
        """Overwrite these images with the sums of all that `columns` holds for each element."""
        if not self.direct:
            self.unfolding.fold(columns, self.images_of(image)[part], self.layer.stages)

    # ------------------------------------------------------------------ map and maps

    def maps(self, map_: Any, part: slice) -> Any:
        """Return room for the maps of these images, to be filled and given to `store`."""
        return self._room(self._map(map_)[part], self.layer.maps, self.filters)

    def load(self, map_: Any, part: slice) -> Any:
        """Return the maps of these images."""
        maps = self.maps(map_, part)
        if not self.direct:
            self._images_first(maps)[...] = self._map(map_)[part]
        return maps

    def store(self, maps: Any, map_: Any, part: slice, bias: Any = None) -> None:
        """Overwrite these images of the map with `maps`, plus a bias for each filter."""
        some, values = self._map(map_)[part], self._images_first(maps)
        if bias is not None:
            self.xp.add(values, bias[:, None], out=some)
        elif not self.direct:
            some[...] = values

    # ------------------------------------------------------------------ products

    def product(self, a: Any, b: Any, out: Any) -> Any:
        """out = a b for each of the matrices."""
        if a.shape[-1] == 1:
            # Depthwise filters make outer products; as matrix products they take four times as long
            self.xp.multiply(a, b, out=out)
        elif self.on_host or (a.flags.c_contiguous and b.flags.c_contiguous):
            self.xp.matmul(a, b, out=out)
        else:
            for matrices in zip(a, b, out, strict=True):  # CuPy copies a stack of transposed ones
                self.xp.matmul(*matrices[:2], out=matrices[2])
        return out

    def add_product(self, maps: Any, columns: Any, weight: Any) -> None:
        """weight += maps columns', as many filters at a time as the memory is for."""
        total, room = self.by_group(weight), self.layer.gradient
        step = room.shape[1]
        for start in range(0, total.shape[1], step):
            some = total[:, start : start + step]
            share = room[:, : some.shape[1]]
            self.product(maps[:, start : start + step], columns.swapaxes(1, 2), out=share)
            some += share

    def gather(self, matrices: Any, room: Any) -> Any:
        """Return the matrices with all images side by side, for `add_product`: if direct, a
        copy."""
        if not self.direct:
            return matrices
        images, group, rows, positions = matrices.shape
        together = room[: matrices.size].reshape(group, rows, images, positions)
        together[...] = matrices.transpose(1, 2, 0, 3)
        return together.reshape(group, rows, -1)

    # ------------------------------------------------------------------ shapes

    def _room(self, some: Any, room: Any, rows: int) -> Any:
        """Return the matrices for some images (n, ...) of a side: in `room`, or the images
        themselves if direct."""
        images, rows = len(some), rows // self.group
        if self.direct:
            return some.reshape(images, self.group, rows, -1)
        count = images * self.unfolding.positions
        return room[: self.group * rows * count].reshape(self.group, rows, count)

    def _map(self, array: Any) -> Any:
        """The map as (N, M, positions)."""
        return array.reshape(self.images, self.filters, self.unfolding.positions)

    def _images_first(self, maps: Any) -> Any:
        """Maps seen as images (n, M, positions): no copy."""
        if self.direct:
            return maps.reshape(len(maps), self.filters, -1)
        return maps.reshape(self.filters, -1, self.unfolding.positions).swapaxes(0, 1)
