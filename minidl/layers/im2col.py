"""Elements under a filter, for each of its positions: the `Im2col` layer."""

from __future__ import annotations

import math

from minidl import ops
from minidl.arrays.method_cache import method_cache
from minidl.layers.base import register, scratch
from minidl.layers.columns import Unfolding
from minidl.layers.sliding import Sliding


@register("Im2col")
class Im2col(Sliding):
    r"""Write out, for every position of a filter, the elements of the bottom that it covers.

    With stride s, pad p, dilation d, and x zero outside its borders,

        y[n, (c, t), o] = x[n, c, o * s - p + t * d]
        dx[n, c, i] = sum(dy[n, (c, t), o] where o * s - p + t * d = i)

    where o and t are places on all spatial axes. A Convolution's weights, as a matrix, times y are
    what the Convolution gives, but for its bias.

    bottom[0]   (N, C, *size): any number of spatial axes
    top[0]      (N, C * taps, *out), out = (size + 2 p - (d (k - 1) + 1)) / s + 1 cut toward 0

    convolution_param
        kernel_size, stride, pad, dilation      once for all spatial axes, or once for each
        kernel_h kernel_w, stride_h stride_w, pad_h pad_w       the same for two spatial axes
        axis (1)            where the channels are; all axes before it count as images
        num_output, group, bias_term, weight_filler, bias_filler, engine, force_nd_im2col
                            accepted, and without effect: there are no filters here

    Source: Chellapilla, Puri & Simard 2006.
    """

    family = "weights"

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        # Not `op`, by which engines would take this for a convolution.
        self.window = ops.Conv(num_output=0, **self.read_geometry())
        self._unfolding = method_cache(self._make_unfolding, 4)

    def top_shapes(self, bottom):
        axis, out = self.slide(self.window, bottom)
        taps = math.prod(self.window.over(len(out)).kernel)
        return ((*bottom[:axis], bottom[axis] * taps, *out),)

    def buffers(self, bottom):
        return {"stages": scratch((self._unfolding(bottom).workspace(1),))}

    def forward(self, bottom, top):
        unfolding = self._unfolding(bottom[0].shape)
        image, columns = self._views(unfolding, bottom[0].data, top[0].data)
        unfolding.unfold(self.xp, image, columns, self.stages)

    def backward(self, top, wanted, bottom):
        unfolding = self._unfolding(bottom[0].shape)
        image, columns = self._views(unfolding, bottom[0].diff, top[0].diff)
        unfolding.fold(columns, image, self.stages)

    def _make_unfolding(self, bottom):
        """All images as the channels of one: then the columns are in the order of the top."""
        axis, out = self.slide(self.window, bottom)
        op = self.window.over(len(out))
        geometry = op.kernel, op.stride, op.pad, op.dilation
        return Unfolding(math.prod(bottom[: axis + 1]), bottom[axis + 1 :], *geometry, out)

    @staticmethod
    def _views(unfolding, image, columns):
        return (
            image.reshape(1, unfolding.channels, *unfolding.size),
            columns.reshape(unfolding.rows, unfolding.positions),
        )
