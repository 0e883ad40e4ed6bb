"""The three passes of a convolution as matrix products, a few images at a time."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.engines.cupy_kernels import blas
from minidl.engines.cupy_kernels.blas import Matrix, product
from minidl.engines.cupy_kernels.geometry import Geometry
from minidl.engines.cupy_kernels.launch import kernel
from minidl.engines.cupy_kernels.maps import Then, accumulated, activation, finish, pack, unpack
from minidl.engines.math import Math
from minidl.engines.plan import ALIGNMENT_ON_GPUS, Run, packed_on_gpu, several

# What the workspace takes where nobody says a limit. On a large GPU about this much stays in the
# second-level cache between the kernel that writes columns and the product that reads them, and
# it holds as many places as a product needs to keep all multiprocessors busy.
LIMIT = 64 << 20
EVEN = 8  # images, or a multiple: see `_images_at_once`


class Chunk(NamedTuple):
    """Images that are worked on at once."""

    start: int
    images: int


class Rooms(NamedTuple):
    """Addresses in the workspace.

    columns   (taps, n * places) for n images
    maps      (maps, n * places): results in float32, or gradients as the products' numbers
    weight    the filters as the products' numbers; where they live, if those are float32
    """

    columns: int
    maps: int
    weight: int


class Columns:
    """Unfold images to columns (im2col.cu), multiply; arguments are addresses, as in Depthwise.

    What is multiplied is float32, or a copy in 16 bits (`math`); sums and results are float32. With
    filters of one element and stride 1 every image is its own columns, and in float32 the products
    for images and maps take and leave them where they are.

    workspace   bytes
    in_place    only `learn` needs them
    """

    def __init__(self, device: Device, geometry: Geometry, math: Math, limit: int | None) -> None:
        self.device, self.geometry, self.math = device, geometry, math
        self.itemsize, self.number = blas.ITEMSIZE[math.products], blas.NUMBER[math.products]
        self.in_place = geometry.pointwise and self.itemsize == 4
        self.name = "gemm" if self.in_place else "im2col+gemm"
        # Workspace: columns and maps of a chunk of images, and the filters in 16 bits.
        rounded = [2 * geometry.filters] if self.itemsize == 2 else []
        each = [4 * geometry.places * rows for rows in (geometry.taps, geometry.maps)]
        # As many images at a time as fit; large products keep the GPU busier than small ones.
        left = (LIMIT if limit is None else limit) - sum(rounded) - 2 * ALIGNMENT_ON_GPUS
        self.chunk = _images_at_once(geometry.images, max(1, left // sum(each)))
        self._starts, self.workspace = packed_on_gpu(
            [*(self.chunk * size for size in each), *rounded]
        )

    # ------------------------------------------------------------------ passes

    def gather(
        self, image: int, weight: int, map_: int, workspace: int, bias: int, then: Then
    ) -> Run:
        """Return a run for map_ = f(correlation of image with weight + bias)."""
        g, rooms = self.geometry, self._rooms(weight, workspace)
        if self.in_place:
            shape = (g.images, g.maps, g.places)
            run = self._pointwise(image, weight, map_, transposed=False)
            return several([run, *finish(self.device, map_, shape, bias, then)])
        runs = self._rounded(weight, rooms)
        for chunk in self._chunks:
            runs += [
                self._unfold(image, chunk, rooms),
                self._multiply(chunk, rooms),
                self._unpack(map_, chunk, rooms, bias, then),
            ]
        return several(runs)

    def scatter(
        self, map_: int, weight: int, image: int, workspace: int, bias: int, then: Then
    ) -> Run:
        """Return a run for image = f(the transpose of `gather` on map_ + bias)."""
        g, rooms = self.geometry, self._rooms(weight, workspace)
        if self.in_place:
            shape = (g.images, g.channels, g.places)
            run = self._pointwise(map_, weight, image, transposed=True)
            return several([run, *finish(self.device, image, shape, bias, then)])
        runs = self._rounded(weight, rooms)
        for chunk in self._chunks:
            runs += [
                self._pack(map_, chunk, rooms),
                self._multiply_back(chunk, rooms),
                self._fold(image, chunk, rooms, bias, then),
            ]
        return several(runs)

    def learn(self, image: int, map_: int, param: Param, workspace: int) -> Run:
        """Add the product of maps and columns to the weight's gradient."""
        rooms = self._rooms(0, workspace)
        ways = []
        for adds in (False, True):
            runs: list[Run] = []
            for chunk in self._chunks:
                # Both lie as (row, image, place): one product sums over all images.
                runs += [self._unfold(image, chunk, rooms), self._pack(map_, chunk, rooms)]
                into = param.gradient.memory.address
                # The first chunk may overwrite the gradient, all others add to it.
                runs.append(self._correlate(chunk, rooms, into, adds or chunk.start > 0))
            ways.append(several(runs))
        return accumulated(param, *ways)

    # ------------------------------------------------------------------ steps

    def _unfold(self, image: int, chunk: Chunk, rooms: Rooms) -> Run:
        g = self.geometry
        run = kernel(self.device, "im2col", "im2col", NUMBER=self.number)
        count = g.channels * chunk.images * g.places
        at = self._image(image, chunk)
        return run.bind(count, at, rooms.columns, chunk.images, g.channels, *g.spatial())

    def _fold(self, image: int, chunk: Chunk, rooms: Rooms, bias: int, then: Then) -> Run:
        g = self.geometry
        count, at = chunk.images * g.image_elements, self._image(image, chunk)
        sizes = chunk.images, g.channels, *g.spatial()
        run = kernel(self.device, "im2col", "col2im")
        return run.bind(count, rooms.columns, at, bias, *sizes, *activation(then))

    def _pack(self, map_: int, chunk: Chunk, rooms: Rooms) -> Run:
        shape = (chunk.images, self.geometry.maps, self.geometry.places)
        at = self._map(map_, chunk)
        return pack(self.device, at, rooms.maps, shape, self.number)

    def _unpack(self, map_: int, chunk: Chunk, rooms: Rooms, bias: int, then: Then) -> Run:
        shape = (chunk.images, self.geometry.maps, self.geometry.places)
        return unpack(self.device, rooms.maps, self._map(map_, chunk), shape, bias, then)

    def _rounded(self, weight: int, rooms: Rooms) -> list[Run]:
        """Return the runs that make the 16-bit copy of the filters, if there is one."""
        if rooms.weight == weight:
            return []
        run = kernel(self.device, "convert", "convert", FROM="float", TO=self.number)
        return [run.bind(self.geometry.filters, weight, rooms.weight, 1, self.geometry.filters)]

    # ------------------------------------------------------------------ products

    # For each group: filters W (m, k), columns X (k, p), maps Y (m, p).

    def _multiply(self, chunk: Chunk, rooms: Rooms) -> Run:
        """Compute Y = W X."""
        m, k, p = self._extents(chunk)
        left, right = Matrix(rooms.weight, k, (m * k,)), Matrix(rooms.columns, p, (k * p,))
        return self._product((m, p, k), left, right, Matrix(rooms.maps, p, (m * p,)))

    def _multiply_back(self, chunk: Chunk, rooms: Rooms) -> Run:
        """Compute X = W' Y."""
        m, k, p = self._extents(chunk)
        left, right = Matrix(rooms.weight, k, (m * k,)), Matrix(rooms.maps, p, (m * p,))
        result = Matrix(rooms.columns, p, (k * p,))
        return self._product((k, p, m), left, right, result, transposed=(True, False))

    def _correlate(self, chunk: Chunk, rooms: Rooms, into: int, add: bool) -> Run:
        """Return a run for W = Y X', or W += Y X'."""
        m, k, p = self._extents(chunk)
        left, right = Matrix(rooms.maps, p, (m * p,)), Matrix(rooms.columns, p, (k * p,))
        result = Matrix(into, k, (m * k,))
        return self._product((m, k, p), left, right, result, transposed=(False, True), add=add)

    def _product(
        self,
        shape: tuple[int, int, int],
        left: Matrix,
        right: Matrix,
        result: Matrix,
        **options: Any,
    ) -> Run:
        batch = (self.geometry.group,)
        return product(self.device, self.math, shape, left, right, result, batch=batch, **options)

    def _pointwise(self, source: int, weight: int, target: int, transposed: bool) -> Run:
        """Compute Y = W X or X = W' Y for every image and group, where the images lie."""
        g = self.geometry
        m, k, p = g.maps // g.group, g.channels // g.group, g.places
        rows, terms = (k, m) if transposed else (m, k)
        return product(
            self.device,
            self.math,
            (rows, p, terms),
            # Steps for (images, groups): every image meets the same filters, hence 0.
            Matrix(weight, k, (0, m * k)),
            Matrix(source, p, (g.group * terms * p, terms * p)),
            Matrix(target, p, (g.group * rows * p, rows * p)),
            transposed=(transposed, False),
            batch=(g.images, g.group),
        )

    # ------------------------------------------------------------------ places

    @cached_property
    def _chunks(self) -> list[Chunk]:
        images = self.geometry.images
        starts = range(0, images, self.chunk)
        return [Chunk(start, min(self.chunk, images - start)) for start in starts]

    def _extents(self, chunk: Chunk) -> tuple[int, int, int]:
        g = self.geometry
        return g.maps // g.group, g.taps // g.group, chunk.images * g.places

    def _rooms(self, weight: int, workspace: int) -> Rooms:
        columns, map_, *rounded = (workspace + start for start in self._starts)
        return Rooms(columns, map_, rounded[0] if rounded else weight)

    def _image(self, image: int, chunk: Chunk) -> int:
        return image + 4 * chunk.start * self.geometry.image_elements

    def _map(self, map_: int, chunk: Chunk) -> int:
        return map_ + 4 * chunk.start * self.geometry.map_elements


def _images_at_once(images: int, fitting: int) -> int:
    """Return how many images to unfold at a time: no more than fit, and no small remainder.

    Where it can be, a multiple of EVEN: rows of columns then start at multiples of 16 bytes, in 16
    bits, too, which the products on tensor cores that are fastest ask for.

    >>> [_images_at_once(images, fitting=60) for images in (100, 119, 130, 5)]
    [56, 60, 48, 5]
    """
    turns = -(-images // fitting)
    share = -(-images // turns)
    even = -(-share // EVEN) * EVEN
    rest = images - (turns - 1) * even
    return even if even <= min(fitting, images) and rest >= even // 2 else share
