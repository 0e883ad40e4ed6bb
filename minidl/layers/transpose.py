"""Axes in another order, and axes backwards: the `Transpose` and `Reverse` layers."""

from __future__ import annotations

from minidl.layers.base import Layer, register
from minidl.layers.detection.permute import Permute


@register("Transpose")
class Transpose(Permute):
    """Put all axes of a blob into another order.

        y[i[dim[0]], i[dim[1]], ...] = x[i[0], i[1], ...]
        dx = the elements of dy in their old places

    bottom[0]         any shape
    top[0]            the sizes of bottom[0] in the new order
    transpose_param   dim: the axis that comes first, the one that comes second, ...; all of them

    Permute does the same, and computes it; there the last axes may be left out.

    Source: tianzhi0549/CTPN's Caffe, after junhyukoh/caffe-lstm.
    """

    fork = "tianzhi0549/CTPN, after junhyukoh/caffe-lstm"
    parameters = ("transpose_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.dim = tuple(spec.transpose_param.dim)
        if sorted(self.dim) != list(range(len(self.dim))) or not self.dim:
            self.reject(
                f"dim is {self.dim}",
                expected="each axis once, such as 0, 2, 3, 1",
                field="transpose_param.dim",
            )

    def order(self, shape):
        if len(shape) != len(self.dim):
            self.reject(
                f"dim {self.dim} names {len(self.dim)} axes, but the bottom {shape} has "
                f"{len(shape)}",
                expected="all axes of the bottom",
                field="transpose_param.dim",
            )
        return self.dim


@register("Reverse")
class Reverse(Layer):
    """Turn an axis around: what came last comes first.

        y[..., i, ...] = x[..., n - 1 - i, ...]
        dx = dy, turned back

    bottom[0]       any shape with at least one axis
    top[0]          the same shape
    reverse_param   axis (0); negative counts from the end

    Source: tianzhi0549/CTPN's Caffe.
    """

    family = "shape"
    fork = "tianzhi0549/CTPN, after junhyukoh/caffe-lstm"
    parameters = ("reverse_param",)

    def top_shapes(self, bottom):
        self._index(bottom)
        return (bottom,)

    def forward(self, bottom, top):
        x = bottom[0].data
        top[0].data[...] = x[self._index(x.shape)]

    def backward(self, top, wanted, bottom):
        dy = top[0].diff
        bottom[0].diff[...] = dy[self._index(dy.shape)]

    def _index(self, shape):
        axis = self.axis(self.spec.reverse_param.axis, shape, "reverse_param.axis")
        return (*[slice(None)] * axis, slice(None, None, -1))
