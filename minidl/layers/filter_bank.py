"""What Convolution and Deconvolution share: filters, shapes, buffers, layouts."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minidl import ops
from minidl.arrays.method_cache import method_cache
from minidl.layers.base import scratch
from minidl.layers.columns import Unfolding
from minidl.layers.sliding import Sliding

MANY = 32  # positions; from here on a product for each image beats gathering the images


class Plan(NamedTuple):
    """How a bottom is worked through, `chunk` of its N images at a time.

    The *image* is the side that the filters slide over, the *map* the side with one element for
    each of their positions: bottom and top of a Convolution, top and bottom of a Deconvolution.
    `map_channels` is the number of filters.

    direct  a Convolution whose images can take the place of their columns
    """

    images: int
    chunk: int
    map_channels: int
    unfolding: Unfolding
    direct: bool

    @property
    def chunks(self):
        """The images' ranges, in order."""
        return (slice(i, i + self.chunk) for i in range(0, self.images, self.chunk))

    def image(self, array):
        """The image's side as (N, C, *size)."""
        return array.reshape(self.images, self.unfolding.channels, *self.unfolding.size)

    def map(self, array):
        """The map's side as (N, filters, positions)."""
        return array.reshape(self.images, self.map_channels, self.unfolding.positions)


class FilterBank(Sliding):
    """Filters that slide over images: reads them, states the shapes, moves between layouts.

    Within a chunk of n images everything is a matrix for each group: the weights (M, K), the
    columns (K, n * positions) that `Unfolding` makes of the image, the map (M, n * positions).
    """

    bottoms = (1, None)
    tops = (1, None)
    same_counts = True
    keeps = ("bottom",)
    transposed = False

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.convolution_param
        if p.num_output == 0:
            self.reject("num_output is 0 or missing", expected="the number of output channels")
        if p.group == 0 or p.num_output % p.group:
            self.reject(
                f"num_output is {p.num_output}, group is {p.group}",
                expected="num_output a multiple of group",
                field="convolution_param.group",
            )
        self.check_engine(p)
        self.op = ops.Conv(
            num_output=p.num_output,
            **self.read_geometry(),
            group=p.group,
            bias=p.bias_term,
            transposed=self.transposed,
        )
        self.fillers = {"weight": p.weight_filler}
        if p.bias_term:
            self.fillers["bias"] = p.bias_filler
        self._limit = ctx.workspace_limit // np.dtype(self.dtype).itemsize
        self._plan = method_cache(self._make_plan, 4)

    # ------------------------------------------------------------------ declare

    def top_shapes(self, *bottom):
        first = bottom[0]
        for i, other in enumerate(bottom):
            if other != first:
                self.reject(
                    f"'{self.spec.bottom[i]}' is {other}, but '{self.spec.bottom[0]}' is {first}",
                    expected="bottoms of one shape, since they share the filters",
                )
        axis, out = self.slide(self.op, first)
        if first[axis] % self.op.group:
            self.reject(
                f"group is {self.op.group}, but the bottom {first} has {first[axis]} channels",
                expected="channels a multiple of group",
                field="convolution_param.group",
            )
        return ((*first[:axis], self.op.num_output, *out),) * len(bottom)

    def param_shapes(self, *bottom):
        plan = self._plan(bottom[0])
        channels = plan.unfolding.channels // self.op.group
        shapes = {"weight": (plan.map_channels, channels, *plan.unfolding.kernel)}
        if self.op.bias:
            shapes["bias"] = (self.op.num_output,)
        return shapes

    def buffers(self, *bottom):
        plan = self._plan(bottom[0])
        count = plan.chunk * plan.unfolding.positions
        group, rows = self.op.group, plan.unfolding.rows // self.op.group
        filters = min(plan.map_channels // group, max(1, self._limit // (group * rows)))
        buffers = {
            "columns": scratch((plan.unfolding.rows * count,)),
            "stages": scratch((plan.unfolding.workspace(plan.chunk),)),
            "maps": scratch((plan.map_channels * count,)),
            "gradient": scratch((group, filters, rows)),
        }
        if self.op.bias:
            buffers["bias_gradient"] = scratch((self.op.num_output,))
        return buffers

    def multiply_adds(self, *bottom):
        plan = self._plan(bottom[0])
        rows = plan.unfolding.rows // self.op.group
        return len(bottom) * plan.images * plan.map_channels * rows * plan.unfolding.positions

    def _make_plan(self, bottom):
        top = self.top_shapes(bottom)[0]
        axis = self.spec.convolution_param.axis % len(bottom)
        image, map_ = (top, bottom) if self.transposed else (bottom, top)
        op = self.op.over(len(bottom) - axis - 1)
        geometry = op.kernel, op.stride, op.pad, op.dilation
        unfolding = Unfolding(image[axis], image[axis + 1 :], *geometry, map_[axis + 1 :])
        images = math.prod(bottom[:axis])
        chunk = unfolding.images_within(self._limit, images)
        # Broadcast products are for the CPU: CuPy makes arrays of pointers for them in every call.
        possible = self.ctx.device.kind == "cpu" and not self.transposed
        direct = possible and unfolding.pointwise and unfolding.positions >= MANY
        return Plan(images, chunk, map_[axis], unfolding, direct)

    # ------------------------------------------------------------------ act

    def _weights(self, array):
        """The filters' values or gradient as (group, M, K)."""
        return array.reshape(self.op.group, array.shape[0] // self.op.group, -1)

    def _by_group(self, buffer, rows, count):
        """The beginning of a flat buffer as (group, rows of a group, count)."""
        return buffer[: rows * count].reshape(self.op.group, rows // self.op.group, count)

    def _unfold(self, plan, image):
        """The columns of some images (n, C, *size)."""
        columns = self._columns(plan, len(image))
        plan.unfolding.unfold(self.xp, image, columns, self.stages)
        return columns

    def _columns(self, plan, images):
        """Room for the columns of so many images, (group, K, positions of all of them)."""
        return self._by_group(self.columns, plan.unfolding.rows, images * plan.unfolding.positions)

    def _maps(self, plan, images):
        """Room for the map of so many images, (group, M, positions of all of them)."""
        return self._by_group(self.maps, plan.map_channels, images * plan.unfolding.positions)

    def _pack(self, plan, array):
        """Some images of the map (n, filters, positions), as a matrix for each group."""
        maps = self._maps(plan, len(array))
        self._images_first(maps, array)[...] = array
        return maps

    def _unpack(self, maps, array, bias=None):
        """The way back: fill `array` (n, filters, positions) from the matrices, plus a bias."""
        if bias is None:
            array[...] = self._images_first(maps, array)
        else:
            self.xp.add(self._images_first(maps, array), bias[:, None], out=array)

    @staticmethod
    def _images_first(maps, like):
        images, filters, positions = like.shape
        return maps.reshape(filters, images, positions).swapaxes(0, 1)

    def _spread(self, plan, maps):
        """The columns W' maps, that `Unfolding.fold` makes images of."""
        positions = plan.unfolding.positions
        columns = self._columns(plan, maps.shape[2] // positions)
        transposed = self._weights(self.weight.data).swapaxes(1, 2)
        # Depthwise filters make outer products; as matrix products they take four times as long.
        product = self.xp.multiply if maps.shape[1] == 1 else self._matmul
        product(transposed, maps, out=columns)
        return columns

    def _matmul(self, a, b, out):
        """out = a b, for stacks of matrices, one for each group."""
        if self.ctx.device.kind == "cpu" or (a.flags.c_contiguous and b.flags.c_contiguous):
            self.xp.matmul(a, b, out=out)
            return
        for matrices in zip(a, b, out, strict=True):  # CuPy would copy a stack of transposed ones
            self.xp.matmul(*matrices[:2], out=matrices[2])

    def _add_gradients(self, maps, columns):
        """Add a chunk's share to the filters' gradient, as many filters at a time as fit."""
        gradient, step = self._weights(self.weight.diff), self.gradient.shape[1]
        for start in range(0, gradient.shape[1], step):
            part = gradient[:, start : start + step]
            share = self.gradient[:, : part.shape[1]]
            self._matmul(maps[:, start : start + step], columns.swapaxes(1, 2), out=share)
            part += share
