"""Convolution: one matrix product over the columns of its bottom.

Read `forward` and `backward` first: they are the equations of the class's docstring, line by line.
Each works on n of the N images at a time, in matrices that `columns.Unfolded` makes and takes back;
how many images that are, groups, and the shortcut for 1 x 1 filters are its business alone.
"""

from __future__ import annotations

import math

from minidl import ops
from minidl.arrays.method_cache import method_cache
from minidl.layers.base import register, scratch
from minidl.layers.columns import Unfolded, Unfolding
from minidl.layers.sliding import Sliding


@register("Convolution")
class Convolution(Sliding):
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

    As many images are unfolded at once as the context's workspace_limit has room for, at least one.
    Filters of one element with stride 1 and no padding need no columns.

    Source: LeCun et al. 1989; as a matrix product, Chellapilla, Puri & Simard 2006.
    """

    family = "weights"
    computes = (ops.Conv,)
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
        self._geometry = method_cache(self._make_geometry, 4)

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
        unfolding, _, filters = self._geometry(bottom[0])
        weight = (filters, unfolding.channels // self.op.group, *unfolding.kernel)
        return {"weight": weight} | ({"bias": (self.op.num_output,)} if self.op.bias else {})

    def buffers(self, *bottom):
        buffers = self.unfolded(bottom[0]).buffers()
        if self.op.bias:
            buffers["bias_gradient"] = scratch((self.op.num_output,))
        return buffers

    def multiply_adds(self, *bottom):
        unfolding, images, filters = self._geometry(bottom[0])
        weights = filters * unfolding.rows // self.op.group
        return len(bottom) * images * weights * unfolding.positions

    def unfolded(self, bottom):
        """Return both sides as matrices, for bottoms of this shape, to work on in a pass."""
        return Unfolded(self, *self._geometry(bottom))

    def _make_geometry(self, bottom):
        """Return the Unfolding, the number of images and that of filters. The filters slide over
        the bottom or, transposed, over the top."""
        top = self.top_shapes(bottom)[0]
        axis = self.spec.convolution_param.axis % len(bottom)
        image, map_ = (top, bottom) if self.transposed else (bottom, top)
        op = self.op.over(len(bottom) - axis - 1)
        geometry = op.kernel, op.stride, op.pad, op.dilation
        unfolding = Unfolding(image[axis], image[axis + 1 :], *geometry, map_[axis + 1 :])
        return unfolding, math.prod(bottom[:axis]), map_[axis]

    # ------------------------------------------------------------------ act
    #
    # K = C / group * taps weights a filter; of the M filters each group has M / group. W, X, Y are
    # stacks of matrices, one for each group.

    def forward(self, bottom, top):
        u = self.unfolded(bottom[0].shape)
        W = u.by_group(self.weight.data)  # (group, M / group, K)
        b = self.bias.data if self.op.bias else None
        for x, y in zip(bottom, top, strict=True):
            for part in u.parts:  # n of the N images
                X = u.unfold(x.data, part)  # (group, K, n * positions)
                Y = u.product(W, X, out=u.maps(y.data, part))  # (group, M / group, n * positions)
                u.store(Y, y.data, part, b)  # y = W X + b

    def backward(self, top, wanted, bottom):
        u = self.unfolded(bottom[0].shape)
        W = u.by_group(self.weight.data)
        bias_wanted = self.op.bias and self.bias.wanted
        for x, y, want in zip(bottom, top, wanted, strict=True):
            for part in u.parts:
                dY = u.load(y.diff, part)  # (group, M / group, n * positions)
                if want:
                    dX = u.product(W.swapaxes(1, 2), dY, out=u.columns(x.diff, part))
                    u.fold(dX, x.diff, part)  # dx = fold(W' dY)
                if bias_wanted or self.weight.wanted:
                    dY = u.gather(dY, self.maps)  # side by side: one sum, one product for all n
                if bias_wanted:
                    self.xp.sum(dY.reshape(self.op.num_output, -1), axis=1, out=self.bias_gradient)
                    self.bias.diff += self.bias_gradient  # db += sum of dY
                if self.weight.wanted:
                    X = u.gather(u.unfold(x.data, part), self.columns)
                    u.add_product(dY, X, self.weight.diff)  # dW += dY X'
