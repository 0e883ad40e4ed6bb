"""Values back to where a max pooling took them from: the `Upsample` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, scratch
from minidl.layers.indices import Indexed


@register("Upsample")
class Upsample(Indexed):
    """Undo a max pooling: each value goes where the maximum was, all other places are 0.

        y[n, c, mask[n, c, i]] = x[n, c, i]
        dx[n, c, i] = dy[n, c, mask[n, c, i]]

    where a place of y is a single number, row * width + column. If two values go to one place,
    the later one stays.

    bottom[0]        x: (N, C, H, W)
    bottom[1]        mask: the same shape, as top[1] of a Pooling has it; it gets no gradient
    top[0]           (N, C, top height, top width)
    upsample_param   upsample_h and upsample_w, the size of the top; or scale (2), or scale_h and
                     scale_w, factors on the bottom's, with pad_out_h or pad_out_w for a row or a
                     column less (only with a factor of 2)

    A place outside the top is refused; on a GPU it makes the top NaN.

    Source: Badrinarayanan, Kendall & Cipolla 2017 (SegNet), section 3.1; their fork of Caffe.
    """

    family = "shape"
    fork = "alexgkendall/caffe-segnet"
    parameters = ("upsample_param",)
    bottoms = 2
    no_gradient = (1,)
    labels_bottom = 1

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.upsample_param
        self.size = self._pair("upsample_h", "upsample_w")
        self.factors = self._pair("scale_h", "scale_w") or (p.scale, p.scale)
        self.less = (int(p.pad_out_h), int(p.pad_out_w))
        if p.HasField("scale") and p.HasField("scale_h"):
            self.reject("both scale and scale_h are given", fix="delete one of them")
        if min(self.size or self.factors) < 2:
            what = "size of the top" if self.size else "scale"
            self.reject(f"the {what} is {self.size or self.factors}", expected="at least 2 each")
        for factor, less, axis in zip(self.factors, self.less, "hw", strict=True):
            if less and factor != 2 and not self.size:
                self.reject(
                    f"pad_out_{axis} with a scale of {factor}",
                    expected="a scale of 2",
                    fix="say upsample_h and upsample_w instead",
                    field=f"upsample_param.pad_out_{axis}",
                )

    def _pair(self, *names):
        """Return two fields that come together, or None."""
        p = self.spec.upsample_param
        given = [name for name in names if p.HasField(name)]
        if len(given) == 1:
            self.reject(
                f"{given[0]} is given without its pair", expected=f"{names[0]} and {names[1]}"
            )
        return tuple(getattr(p, name) for name in names) if given else None

    def top_shapes(self, bottom, mask):
        if len(bottom) != 4 or bottom != mask:
            first, second = self.spec.bottom
            self.reject(
                f"'{first}' is {bottom}, and the mask '{second}' {mask}",
                expected="both of one shape (N, C, H, W)",
            )
        return ((*bottom[:2], *self._top_size(bottom)),)

    def rows(self, shape):
        return math.prod(self._top_size(shape))

    def buffers(self, bottom, mask):
        # Width 0: nothing is added up by rows here.
        return {**self.index_buffers(mask, 0), "target": scratch((math.prod(mask),), np.intp)}

    def sample_bottoms(self, shapes, rng):
        n, c, h, w = shapes[0]
        rows = self.rows(shapes[0])  # each place once, unless there are fewer than values
        places = [np.resize(rng.permutation(rows), h * w) for _ in range(n * c)]
        return [rng.standard_normal(shapes[0]), np.reshape(places, shapes[0]).astype(float)]

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        self.read_indices(bottom[1].data, self.rows(x.shape))
        y.fill(0)
        y.reshape(-1)[self._targets(x.shape)] = x.reshape(-1)
        self.spoil(y)

    def backward(self, top, wanted, bottom):
        dx, dy = bottom[0].diff, top[0].diff
        self.xp.take(dy.reshape(-1), self._targets(dx.shape), out=dx.reshape(-1))

    def _top_size(self, bottom):
        if self.size:
            return self.size
        axes = zip(bottom[2:], self.factors, self.less, strict=True)
        return tuple(size * factor - less for size, factor, less in axes)

    def _targets(self, shape):
        """Return each value's place among all elements of the top."""
        planes, places = math.prod(shape[:2]), math.prod(shape[2:])
        target, starts = self.target, self.table(_starts, planes, self.rows(shape))
        self.xp.add(self.row.reshape(planes, places), starts, out=target.reshape(planes, places))
        return target

    def too_large(self, shown):
        return "give the top the size of the bottom of the Pooling that made the mask"


def _starts(planes, size):
    """Return the first element of each plane of the top."""
    return np.arange(planes)[:, None] * size
