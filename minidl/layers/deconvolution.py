"""Deconvolution: the transpose of a convolution, with the same matrices the other way round.

What `Convolution` does to its bottom in backward, this layer does in forward: see convolution.py
for the names.
"""

from __future__ import annotations

from minidl.layers.base import register
from minidl.layers.convolution import Convolution


@register("Deconvolution")
class Deconvolution(Convolution):
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

    transposed = True

    # K = num_output / group * taps; the positions are the places of the bottom.

    def forward(self, bottom, top):
        u = self.unfolded(bottom[0].shape)
        W = u.by_group(self.weight.data)  # (group, C / group, K)
        for x, y in zip(bottom, top, strict=True):
            for part in u.parts:  # n of the N images
                X = u.load(x.data, part)  # (group, C / group, n * positions)
                Y = u.product(W.swapaxes(1, 2), X, out=u.columns(y.data, part))
                u.fold(Y, y.data, part)  # y = fold(W' x)
            if self.op.bias:
                places = u.images_of(y.data)  # (N, num_output, *out)
                places += self.bias.data.reshape(-1, *[1] * (places.ndim - 2))

    def backward(self, top, wanted, bottom):
        u = self.unfolded(bottom[0].shape)
        W = u.by_group(self.weight.data)
        for x, y, want in zip(bottom, top, wanted, strict=True):
            if self.op.bias and self.bias.wanted:
                places = y.diff.reshape(u.images, self.op.num_output, -1)
                self.xp.sum(places, axis=(0, 2), out=self.bias_gradient)
                self.bias.diff += self.bias_gradient  # db += sum of dy
            for part in u.parts if want or self.weight.wanted else ():
                dY = u.unfold(y.diff, part)  # (group, K, n * positions)
                if self.weight.wanted:
                    u.add_product(u.load(x.data, part), dY, self.weight.diff)  # dW += x dY'
                if want:
                    dX = u.product(W, dY, out=u.maps(x.diff, part))
                    u.store(dX, x.diff, part)  # dx = W dY
