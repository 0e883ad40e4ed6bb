"""Convolution and its transpose, Deconvolution."""

from __future__ import annotations

import math

from minidl.layers.base import register
from minidl.layers.filter_bank import FilterBank


@register("Convolution")
class Convolution(FilterBank):
    r"""Slide filters over images and note, at each position, how well each of them fits.

    With stride s, pad p, dilation d, and x zero outside its borders, for each filter m,

        y[n, m, o] = b[m] + sum(w[m, c, t] * x[n, c, o * s - p + t * d]  over channels c, taps t)

    where o and t are places on all spatial axes. (A correlation: the filter is not flipped.)
    The sum is one matrix product, W times the columns of x, which hold for every position all that
    lies under the filter: ``y = W X + b``. So backward, with dY the gradient of y,

        dW = dY X'        db = sum of dY over images and positions        dX = W' dY

    and dx adds up, for each element of x, all its copies in dX. With ``group`` g the channels and
    the filters are cut into g blocks, and filters see only the channels of their own block.

    bottom[i]   (N, C, *size): any number of spatial axes, none included
    top[i]      (N, num_output, *out), out = (size + 2 p - (d (k - 1) + 1)) / s + 1 cut toward 0
    weight      (num_output, C / group, *kernel)
    bias        (num_output), unless bias_term is false

    All bottoms have one shape and share the filters.

    convolution_param
        num_output                              filters
        kernel_size, stride, pad, dilation      once for all spatial axes, or once for each
        kernel_h kernel_w, stride_h stride_w, pad_h pad_w       the same for two spatial axes
        group (1), bias_term (true), weight_filler, bias_filler
        axis (1)            where the channels are; all axes before it count as images
        engine              CAFFE: this code; MKLDNN: oneDNN; CUDNN: cuDNN, on a GPU
        force_nd_im2col     accepted; there is only the general code, which is also the fast one

    As many images are unfolded at once as the context's workspace_limit has room for (at least
    one), and where a whole batch fits, training keeps its columns for dW. Filters of one element
    with stride 1 and no padding need no columns.

    Source: LeCun et al. 1989; as a matrix product, Chellapilla, Puri & Simard 2006.
    """

    family = "weights"

    def forward(self, bottom, top):
        weight = self._weights(self.weight.data)
        bias = self.bias.data if self.op.bias else None
        for x, y in zip(bottom, top, strict=True):
            plan = self._plan(x.shape)
            image, out = plan.image(x.data), plan.map(y.data)
            if plan.direct:
                self.xp.matmul(weight, self._grouped(image), out=self._grouped(out))
                if bias is not None:
                    out += bias[:, None]
                continue
            for part in plan.chunks:
                columns = self._unfold(plan, image[part])
                maps = self._maps(plan, len(image[part]))
                self._matmul(weight, columns, out=maps)
                self._unpack(maps, out[part], bias)

    def backward(self, top, wanted, bottom):
        learning = self.weight.wanted or (self.op.bias and self.bias.wanted)
        for x, y, want in zip(bottom, top, wanted, strict=True):
            plan = self._plan(x.shape)
            dy, fold = plan.map(y.diff), want and not plan.direct
            if want and plan.direct:
                transposed = self._weights(self.weight.data).swapaxes(1, 2)
                dx = self._grouped(plan.image(x.diff))
                self.xp.matmul(transposed, self._grouped(dy), out=dx)
            for part in plan.chunks if learning or fold else ():
                maps = self._pack(plan, dy[part])
                if self.op.bias and self.bias.wanted:
                    filters = maps.reshape(len(self.bias_gradient), -1)
                    self.xp.sum(filters, axis=1, out=self.bias_gradient)
                    self.bias.diff += self.bias_gradient
                if self.weight.wanted:
                    self._add_gradients(maps, self._unfold(plan, plan.image(x.data)[part]))
                if fold:
                    dx = plan.image(x.diff)[part]
                    plan.unfolding.fold(self._spread(plan, maps), dx, self.stages)

    def _grouped(self, array):
        """(N, channels, ...) as (N, group, channels of a group, positions)."""
        images, channels = array.shape[:2]
        positions = math.prod(array.shape[2:])
        return array.reshape(images, self.op.group, channels // self.op.group, positions)


@register("Deconvolution")
class Deconvolution(FilterBank):
    r"""Lay a filter down at each position, scaled by the bottom, and add up where they overlap.

    The transpose of a Convolution with the same filters: forward is its gradient for the bottom.
    With Y and dY the columns of the top and of its gradient,

        Y = W' x        y = b + the sum of all copies of each element in Y
        dx = W dY       dW = x dY'       db = sum of dy over images and places

    bottom[i]   (N, C, *size): any number of spatial axes, none included
    top[i]      (N, num_output, *out), out = s (size - 1) + d (k - 1) + 1 - 2 p
    weight      (C, num_output / group, *kernel)
    bias        (num_output), unless bias_term is false

    convolution_param   as for Convolution; num_output counts the channels of the top

    To enlarge maps f times by interpolation: kernel_size 2 f - f % 2, stride f, pad (f - 1) / 2
    rounded up, group = num_output = C, a bilinear weight_filler, no bias, and lr_mult 0.

    Source: Zeiler et al. 2010; as upsampling, Long, Shelhamer & Darrell 2015, section 3.3.
    """

    family = "weights"
    transposed = True

    def forward(self, bottom, top):
        for x, y in zip(bottom, top, strict=True):
            plan = self._plan(x.shape)
            source, image = plan.map(x.data), plan.image(y.data)
            for part in plan.chunks:
                columns = self._spread(plan, self._pack(plan, source[part]))
                plan.unfolding.fold(columns, image[part], self.stages)
            if self.op.bias:
                image += self.bias.data.reshape(-1, *[1] * len(plan.unfolding.size))

    def backward(self, top, wanted, bottom):
        weight = self._weights(self.weight.data)
        for x, y, want in zip(bottom, top, wanted, strict=True):
            plan = self._plan(x.shape)
            source, dy = plan.map(x.data), plan.image(y.diff)
            if self.op.bias and self.bias.wanted:
                places = dy.reshape(*dy.shape[:2], -1)
                self.xp.sum(places, axis=(0, 2), out=self.bias_gradient)
                self.bias.diff += self.bias_gradient
            for part in plan.chunks if want or self.weight.wanted else ():
                columns = self._unfold(plan, dy[part])
                if self.weight.wanted:
                    self._add_gradients(self._pack(plan, source[part]), columns)
                if want:
                    maps = self._maps(plan, len(dy[part]))
                    self._matmul(weight, columns, out=maps)
                    self._unpack(maps, plan.map(x.diff)[part])
