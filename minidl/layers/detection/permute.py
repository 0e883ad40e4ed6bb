"""The axes of a blob in another order: the `Permute` layer."""

from __future__ import annotations

from minidl.layers.base import Layer, register


@register("Permute")
class Permute(Layer):
    """Put the axes of a blob into another order, such as N, H, W, C.

        y[i[order[0]], i[order[1]], ...] = x[i[0], i[1], ...]
        dx = the elements of dy in their old places

    bottom[0]       any shape
    top[0]          the sizes of bottom[0] in the new order
    permute_param   order: the axis that comes first, the one that comes second, ...; axes that are
                    not named follow in the order they have

    Source: Liu et al. 2016 (SSD), its branch of Caffe.
    """

    family = "shape"
    fork = "weiliu89/caffe, branch ssd"
    parameters = ("permute_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.named = tuple(spec.permute_param.order)
        twice = sorted({axis for axis in self.named if self.named.count(axis) > 1})
        if twice:
            self.reject(
                f"order {self.named} names axis {twice[0]} more than once",
                expected="each axis at most once",
                field="permute_param.order",
            )

    def top_shapes(self, bottom):
        return (tuple(bottom[axis] for axis in self.order(bottom)),)

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        y[...] = x.transpose(self.order(x.shape))

    def backward(self, top, wanted, bottom):
        dx, dy = bottom[0].diff, top[0].diff
        dx.transpose(self.order(dx.shape))[...] = dy  # through a view: no inverse order needed

    def order(self, shape):
        """Return all axes of a bottom of this shape, in the new order."""
        outside = [axis for axis in self.named if axis >= len(shape)]
        if outside:
            self.reject(
                f"order {self.named} names axis {outside[0]}, but the bottom {shape} has "
                f"{len(shape)} axes",
                expected=f"axes from 0 to {len(shape) - 1}",
                field="permute_param.order",
            )
        return (*self.named, *(a for a in range(len(shape)) if a not in self.named))
