"""Items of a batch in another order: the `BatchReindex` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register
from minidl.layers.indices import Indexed


@register("BatchReindex")
class BatchReindex(Indexed):
    """Pick items of a batch by their numbers, in any order; one may be picked often, or never.

        y[i] = x[index[i]]
        dx[n] = sum(dy[i] where index[i] = n)

    bottom[0]   (N, ...)
    bottom[1]   (M): whole numbers from 0 to N - 1, stored as floats; they get no gradient
    top[0]      (M, ...)

    It has no parameters. A number that names no item is refused; on a GPU it makes the top NaN.

    Source: Caffe.
    """

    family = "shape"
    bottoms = 2
    no_gradient = (1,)
    labels_bottom = 1

    def rows(self, shape):
        return shape[0]

    def top_shapes(self, bottom, indices):
        if not bottom or 0 in bottom:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, ...), not empty")
        if len(indices) != 1:
            self.reject(
                f"the numbers in '{self.spec.bottom[1]}' have the shape {indices}",
                expected="one axis",
            )
        return ((*indices, *bottom[1:]),)

    def buffers(self, bottom, indices):
        return self.index_buffers(indices, math.prod(bottom[1:]))

    def sample_bottoms(self, shapes, rng):
        items, indices = shapes
        return [rng.standard_normal(items), rng.integers(items[0], size=indices).astype(float)]

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        self.read_indices(bottom[1].data, len(x))
        self.xp.take(x, self.row, axis=0, out=y)
        self.spoil(y)

    def backward(self, top, wanted, bottom):
        dx, dy = bottom[0].diff, top[0].diff
        dx.fill(0)  # for the items that were not picked
        self.add_rows(dx.reshape(len(dx), -1), dy)  # an item picked twice gets both gradients
