"""The three passes of a convolution whose filters see one channel each, without products."""

from __future__ import annotations

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.engines.cupy_kernels.geometry import Geometry
from minidl.engines.cupy_kernels.launch import Kernel, kernel
from minidl.engines.cupy_kernels.maps import Then, accumulated, activation
from minidl.engines.plan import Run, several


class Depthwise:
    """See depthwise.cu; arguments are addresses, of images and maps of the whole batch.

    workspace   bytes for `learn`
    in_place    the other passes need none
    """

    name, in_place = "direct_depthwise", True

    def __init__(self, device: Device, geometry: Geometry) -> None:
        self.device, self.geometry = device, geometry
        self.workspace = geometry.images * geometry.filters * 4

    def gather(
        self, image: int, weight: int, map_: int, workspace: int, bias: int, then: Then
    ) -> Run:
        """Return a run for map_ = f(correlation of image with weight + bias)."""
        g = self.geometry
        count = g.images * g.map_elements
        arguments = image, weight, map_, bias, g.maps, self._each, *g.spatial(), *activation(then)
        return self._kernel("gather").bind(count, *arguments)

    def scatter(
        self, map_: int, weight: int, image: int, workspace: int, bias: int, then: Then
    ) -> Run:
        """Return a run for image = f(the transpose of `gather` on map_ + bias)."""
        g = self.geometry
        count = g.images * g.image_elements
        arguments = map_, weight, image, bias, g.channels, self._each
        return self._kernel("scatter").bind(count, *arguments, *g.spatial(), *activation(then))

    def learn(self, image: int, map_: int, param: Param, workspace: int) -> Run:
        """Add the correlation of image and map, over all places, to the weight's gradient."""
        g = self.geometry
        rows = g.images * g.filters
        # In two steps, so that sums come in one order and give the same bits: for each image and
        # element of a filter, then over the images.
        each = self._kernel("filters").bind(rows, image, map_, workspace, self._each, *g.spatial())
        total = kernel(self.device, "maps", "sum_images")
        ways = [
            total.bind(g.filters, workspace, param.gradient.memory.address, g.images, add)
            for add in (0, 1)
        ]
        return accumulated(param, *(several([each, way]) for way in ways))

    @property
    def _each(self) -> int:
        """Maps for each channel."""
        return self.geometry.maps // self.geometry.channels

    def _kernel(self, name: str) -> Kernel:
        return kernel(self.device, "depthwise", name)
