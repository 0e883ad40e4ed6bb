"""Sums over the last axes: the `Reduction` layer."""

import math

from minidl.layers.base import Layer, register, scratch
from minidl.layers.folding import matrix


@register("Reduction")
class Reduction(Layer):
    """Reduce `axis` and all axes behind it to one number.

    With n the number of elements reduced,

        SUM     y = coeff * sum(x)        dx = coeff * dy
        ASUM    y = coeff * sum(|x|)      dx = coeff * dy * sign(x)      (0 at x = 0)
        SUMSQ   y = coeff * sum(x**2)     dx = 2 * coeff * dy * x
        MEAN    y = coeff * sum(x) / n    dx = coeff * dy / n    (0 where n is 0)

    bottom[0]         a blob with that axis
    top[0]            the bottom's shape up to `axis`; () for axis 0
    reduction_param   operation (SUM), axis (0; negative counts from the end), coeff (1)

    Source: Caffe.
    """

    family = "shape"
    parameters = ("reduction_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.reduction_param
        self.operation = p.ReductionOp.Name(p.operation)
        self.start, self.coeff = p.axis, p.coeff
        if self.operation in ("ASUM", "SUMSQ"):
            self.keeps = ("bottom",)

    def top_shapes(self, bottom):
        return (bottom[: self.axis(self.start, bottom)],)

    def buffers(self, bottom):
        return {"terms": scratch(bottom)} if self.keeps else {}

    def multiply_adds(self, bottom):
        return math.prod(bottom)

    def forward(self, bottom, top):
        terms, y = bottom[0].data, top[0].data.reshape(-1)
        if self.operation == "ASUM":
            terms = self.xp.abs(terms, out=self.terms)
        elif self.operation == "SUMSQ":
            terms = self.xp.square(terms, out=self.terms)
        self.xp.sum(matrix(terms, top[0].data.ndim), axis=1, out=y)
        y *= self._factor(bottom[0].shape)

    def backward(self, top, wanted, bottom):
        x, dx, dy = bottom[0].data, bottom[0].diff, top[0].diff
        dy = dy.reshape(dy.shape + (1,) * (x.ndim - dy.ndim))  # broadcasts over what was summed
        factor = self._factor(bottom[0].shape)
        if self.operation == "ASUM":
            self.xp.sign(x, out=dx)
            dx *= dy
        elif self.operation == "SUMSQ":
            self.xp.multiply(x, dy, out=dx)
            factor *= 2  # the derivative of a square
        else:
            dx[...] = dy
        dx *= factor

    def _factor(self, shape):
        """Return the factor on the sum."""
        if self.operation == "MEAN":
            return self.coeff / max(1, math.prod(shape[self.axis(self.start, shape) :]))
        return self.coeff
