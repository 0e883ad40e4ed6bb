"""Arithmetic element by element: the `Power` and `Eltwise` layers."""

import math

import numpy as np

from minidl import ops
from minidl.layers.base import Layer, register, saved, scratch


@register("Power")
class Power(Layer):
    """Raise a linear function of every number to a power.

        y = (shift + scale * x)**power
        dx = dy * power * scale * (shift + scale * x)**(power - 1)

    With `power` 1 this is a cheap scale and shift. With `power` or `scale` 0 the top is constant
    and the gradient 0, whatever x is (0**0 is 1).

    bottom[0]     any shape
    top[0]        the same shape; may be the bottom itself, unless a gradient needs x again,
                  which it does for any power but 0 and 1
    power_param   power (1), scale (1), shift (0)

    Source: Caffe. Its gradient is power * scale * dy * y / (shift + scale * x), which is NaN where
    shift + scale * x is 0; this one is the same elsewhere and finite there for powers above 1.
    """

    family = "activation"
    keeps_positions = True
    parameters = ("power_param",)
    in_place = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.power_param
        self.power, self.scale, self.shift = p.power, p.scale, p.shift
        self.is_constant = self.power == 0 or self.scale == 0
        self.keeps = () if self.is_constant or self.power == 1 else ("bottom",)
        with np.errstate(all="ignore"):  # 0 to a negative power, roots of negative numbers
            self.constant = float(np.power(np.float64(self.shift), self.power))
        if self.scale == 0 and not np.isfinite(self.constant):
            self.reject(
                f"scale is 0, so the top is shift**power everywhere, but "
                f"{self.shift:g}**{self.power:g} is {self.constant}",
                expected="a finite constant",
                field="power_param.scale",
            )

    def top_shapes(self, bottom):
        return (bottom,)

    def multiply_adds(self, bottom):
        return 0 if self.is_constant else math.prod(bottom)

    def sample_bottoms(self, shapes, rng):
        if self.is_constant or self.power in (1, 2, 3):
            return super().sample_bottoms(shapes, rng)
        # Roots of negative numbers are NaN, and near 0 a negative power is steeper than any step.
        return [(rng.uniform(0.5, 2, s) - self.shift) / self.scale for s in shapes]

    def forward(self, bottom, top):
        y = top[0].data
        if self.is_constant:
            y.fill(1 if self.power == 0 else self.constant)
            return
        self._linear(bottom[0].data, y)
        if self.power == 2:
            self.xp.square(y, out=y)
        elif self.power != 1:
            self.xp.power(y, self.power, out=y)

    def backward(self, top, wanted, bottom):
        dy, dx, slope = top[0].diff, bottom[0].diff, self.power * self.scale
        if self.is_constant:
            dx.fill(0)
        elif self.power == 1:
            self.xp.multiply(dy, slope, out=dx)
        else:
            self._linear(bottom[0].data, dx)
            if self.power != 2:
                self.xp.power(dx, self.power - 1, out=dx)
            dx *= slope  # power * scale * (shift + scale * x)**(power - 1)
            dx *= dy

    def _linear(self, x, out):
        """out = shift + scale * x"""
        self.xp.multiply(x, self.scale, out=out)
        if self.shift != 0:
            out += self.shift


@register("Eltwise")
class Eltwise(Layer):
    """Multiply, add or compare blobs of one shape, element by element.

        PROD   y = x_0 * x_1 * ...            dx_i = dy * (product of the others)
        SUM    y = c_0 * x_0 + c_1 * x_1 ...  dx_i = c_i * dy
        MAX    y = the largest x_i            dx_i = dy where x_i won, else 0

    On a tie for the maximum, bottom[1] beats bottom[0], and a later bottom wins only if it is
    strictly larger than all before it. The whole gradient goes to the winner.

    bottom[0], bottom[1], ... bottom[i]   at least two, all of one shape: nothing is broadcast
    top[0]         the same shape; for SUM it may be bottom[0] itself (not a later one)
    eltwise_param  operation (SUM); coeff: for SUM, none (all 1) or one for each bottom;
                   stable_prod_grad (true): false computes PROD's gradient as dy * y / x_i, fewer
                   multiplications for many bottoms, but NaN where x_i is 0

    Source: Caffe. It ignores `coeff` for MAX; here it is refused, as for PROD.
    """

    family = "combine"
    keeps_positions = True
    computes = (ops.Sum,)
    parameters = ("eltwise_param",)
    bottoms = (2, None)
    in_place = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.eltwise_param
        self.operation = p.EltwiseOp.Name(p.operation)
        self.in_place = self.operation == "SUM"
        self.divides = self.operation == "PROD" and not p.stable_prod_grad
        if self.operation == "PROD":
            self.keeps = ("bottom", "top") if self.divides else ("bottom",)
        self.coeff = list(p.coeff) or [1.0] * len(spec.bottom)
        self._check_coeff(p)
        self._check_in_place()
        if self.operation == "SUM":
            self.op = ops.Sum(tuple(self.coeff))

    def _check_coeff(self, p):
        if p.coeff and self.operation != "SUM":
            self.reject(
                f"has {len(p.coeff)} coeff, but operation is {self.operation}",
                expected="coefficients only for SUM",
                fix="delete coeff, or set operation: SUM",
                field="eltwise_param.coeff",
            )
        if len(self.coeff) != len(self.spec.bottom):
            self.reject(
                f"has {len(self.coeff)} coeff for {len(self.spec.bottom)} bottoms",
                expected="none, or one for each bottom",
                field="eltwise_param.coeff",
            )

    def _check_in_place(self):
        top, bottoms = self.spec.top[0], list(self.spec.bottom)
        fix = "give the top a name of its own"
        if self.is_in_place and self.operation != "SUM":
            self.reject(
                f"{self.operation} cannot work in place: top and a bottom are both '{top}'", fix=fix
            )
        if top in bottoms[1:]:
            self.reject(
                f"top '{top}' is also bottom[{bottoms.index(top, 1)}]",
                expected="in place, the top is bottom[0] and no other",
                fix=f"{fix}, or list bottom '{top}' first and only once",
            )

    def top_shapes(self, *bottom):
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if shape != bottom[0]:
                self.reject(
                    f"bottom '{name}' has shape {shape}, "
                    f"but bottom '{self.spec.bottom[0]}' has {bottom[0]}",
                    expected="one shape for all bottoms",
                )
        return (bottom[0],)

    def buffers(self, *bottom):
        if self.operation == "SUM":
            plain = all(c in (1, -1) for c in self.coeff[1:])
            return {} if plain else {"term": scratch(bottom[0])}
        if self.operation == "MAX":
            return {"winner": saved(bottom[0], np.int32), "won": scratch(bottom[0], np.bool_)}
        return {}

    def multiply_adds(self, *bottom):
        if self.operation == "MAX":
            return 0
        return (len(bottom) - 1) * math.prod(bottom[0])

    def forward(self, bottom, top):
        xs, y = [b.data for b in bottom], top[0].data
        if self.operation == "PROD":
            self.xp.multiply(xs[0], xs[1], out=y)
            for x in xs[2:]:
                y *= x
        elif self.operation == "SUM":
            self._sum(xs, y)
        else:
            self._max(xs, y)

    def backward(self, top, wanted, bottom):
        xs, y, dy = [b.data for b in bottom], top[0].data, top[0].diff
        # The first bottom comes last: in place, its gradient has the memory of dy.
        for i in reversed(range(len(bottom))):
            if not wanted[i]:
                continue
            dx = bottom[i].diff
            if self.operation == "PROD":
                if self.divides:
                    self.xp.divide(y, xs[i], out=dx)  # the others' product; NaN where x is 0
                else:
                    first, *rest = xs[:i] + xs[i + 1 :]  # slower, but right where x is 0
                    dx[...] = first
                    for x in rest:
                        dx *= x
                dx *= dy
            elif self.operation == "SUM":
                if dx is not dy or self.coeff[i] != 1:  # else it is there already, in place
                    self.xp.multiply(dy, self.coeff[i], out=dx)
            else:
                self.xp.equal(self.winner, i, out=self.won)
                self.xp.multiply(dy, self.won, out=dx)

    def _sum(self, xs, y):
        """y = the weighted sum; y may be xs[0] itself."""
        xp, coeff = self.xp, self.coeff
        if coeff[:2] == [1, 1]:
            xp.add(xs[0], xs[1], out=y)
            rest = 2
        else:
            xp.multiply(xs[0], coeff[0], out=y)
            rest = 1
        for x, c in zip(xs[rest:], coeff[rest:], strict=True):
            if c == 1:
                y += x
            elif c == -1:
                y -= x
            else:
                xp.multiply(x, c, out=self.term)
                y += self.term

    def _max(self, xs, y):
        """y = the largest; `winner` = which bottom that was, as an index."""
        winner, won = self.winner, self.won
        # 1 where bottom[1] wins; ties go to it, as in Caffe
        self.xp.less_equal(xs[0], xs[1], out=winner)
        self.xp.maximum(xs[0], xs[1], out=y)
        for i, x in enumerate(xs[2:], start=2):
            self.xp.greater(x, y, out=won)
            self.xp.copyto(winner, i, where=won)
            self.xp.maximum(y, x, out=y)
