"""A blob several times over: the `Tile` layer."""

from __future__ import annotations

from minidl.layers.base import Layer, register
from minidl.layers.folding import fold


@register("Tile")
class Tile(Layer):
    """Put copies of a blob behind one another along an axis.

        y = [x, x, ...] along axis
        dx = the sum of the parts of dy that are copies of x

    bottom[0]    a blob with that axis
    top[0]       the same shape, with `tiles` times the size along `axis`
    tile_param   axis (1; negative counts from the end); tiles, how many copies, required

    Source: Caffe.
    """

    family = "shape"
    parameters = ("tile_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.tile_param
        self.along, self.tiles = p.axis, p.tiles
        if self.tiles < 1:
            self.reject_field("tile_param.tiles", expected="the number of copies, 1 or more")

    def top_shapes(self, bottom):
        axis = self.axis(self.along, bottom, "tile_param.axis")
        return ((*bottom[:axis], bottom[axis] * self.tiles, *bottom[axis + 1 :]),)

    def forward(self, bottom, top):
        blocks = self._blocks(bottom[0].shape)
        # (outer, 1, elements) is broadcast over the copies.
        top[0].data.reshape(blocks)[...] = bottom[0].data.reshape(blocks[0], 1, blocks[2])

    def backward(self, top, wanted, bottom):
        blocks = self._blocks(bottom[0].shape)
        dx = bottom[0].diff.reshape(blocks[0], blocks[2])
        self.xp.sum(top[0].diff.reshape(blocks), axis=1, out=dx)  # over the copies

    def _blocks(self, shape):
        """Return the top's shape as (blocks, copies of each, elements of one)."""
        outer, size, inner = fold(shape, self.along % len(shape))
        return outer, self.tiles, size * inner
