"""A factor and an offset by channel, learned or given: the `Scale` and `Bias` layers."""

from __future__ import annotations

import math

from minidl import ops, schema
from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.folding import fold, middle_dot, middle_sum, product_shape, views


class Broadcast(Layer):
    """Base of Scale and Bias: an operand that lines up with some axes of bottom[0].

    The operand is a parameter, or bottom[1] where there is one. Its axes are `num_axes` of
    bottom[0] from `axis` on (-1: all from there; 0: none, it is a single number); a second
    bottom brings its own number of axes.
    """

    family = "norm"
    keeps_positions = True
    bottoms = (1, 2)
    in_place = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.two_bottoms = len(spec.bottom) == 2

    def _line_up(self, p, prefix):
        if p.num_axes < -1:
            self.reject_field(
                f"{prefix}.num_axes",
                expected="-1 (all axes from axis on), 0 (a single number) or more",
            )
        self.first_axis, self.num_axes = p.axis, p.num_axes

    def operand_shape(self, bottom, other=None):
        """Return the shape of the operand; refuse one that does not fit."""
        if other is None and self.num_axes == 0 or other == ():
            return ()
        axis = self.axis(self.first_axis, bottom)
        count = self.num_axes if other is None else len(other)
        end = len(bottom) if count == -1 else axis + count  # -1: all axes from there on
        if end > len(bottom):
            self.reject(
                f"needs {count} axes of the bottom {bottom} from axis {axis} on",
                expected=f"at most {len(bottom) - axis}",
                fix="lower axis" if other is not None else "lower axis or num_axes",
            )
        if other is not None and other != bottom[axis:end]:
            self.reject(
                f"bottom[1] has the shape {other}, but from axis {axis} on bottom[0] {bottom} "
                f"has {bottom[axis:end]}",
                expected="the same sizes",
            )
        return bottom[axis:end]

    def top_shapes(self, *bottom):
        self.operand_shape(*bottom)
        return (bottom[0],)

    def _sums(self, *bottom):
        """Return the buffer of a sum for each element of the operand."""
        return {"sums": scratch((math.prod(self.operand_shape(*bottom)),))}

    def fold(self, bottom):
        """Return (outer, middle, inner) of bottom[0], with the operand's axes in the middle."""
        operand = self.operand_shape(*(blob.shape for blob in bottom))
        axis = self.first_axis % len(bottom[0].shape) if operand else 0
        return fold(bottom[0].shape, axis, len(operand))


@register("Scale")
class Scale(Broadcast):
    r"""Multiply by a learned array, or by a second bottom, and possibly add a learned bias.

    With s and b repeated over the axes of x that they do not have, and sums over those axes,

        y  = s * x + b
        dx = s * dy         ds = sum(dy * x)         db = sum(dy)

    bottom[0]     any shape
    bottom[1]     optional: s itself, of the shape of bottom[0]'s axes from `axis` on
    top[0]        the shape of bottom[0]; may be bottom[0] itself (a copy of x is then kept)
    scale, bias   the learned s (with one bottom) and b (with bias_term), of s's shape
    scale_param   axis (1: channels), num_axes (1; -1 all axes from there, 0 a single number),
                  filler (1), bias_term, bias_filler (0)

    Source: Ioffe & Szegedy 2015, section 3, equation y = gamma * x + beta.
    """

    parameters = ("scale_param",)
    computes = (ops.Affine,)
    keeps = ("bottom",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.scale_param
        self._line_up(p, "scale_param")
        self.bias_term = p.bias_term
        if self.is_in_place:
            self.keeps = ()  # backward reads copies
        if not self.two_bottoms:
            one = schema.FillerParameter(type="constant", value=1)
            self.fillers["scale"] = p.filler if p.HasField("filler") else one
        if self.bias_term:
            self.fillers["bias"] = p.bias_filler
        if not self.two_bottoms:
            self.op = ops.Affine(p.axis, bias=p.bias_term)

    def param_shapes(self, *bottom):
        shape = self.operand_shape(*bottom)
        return {name: shape for name in self.fillers}

    def buffers(self, *bottom):
        product = product_shape(self.ctx.device, bottom[0])
        buffers = {"product": scratch(product), **self._sums(*bottom)}
        if self.is_in_place:
            buffers["x_copy"] = saved(bottom[0])
            if self.two_bottoms:
                buffers["s_copy"] = saved(bottom[1])
        return buffers

    def multiply_adds(self, *bottom):
        return math.prod(bottom[0])

    def forward(self, bottom, top):
        three = self.fold(bottom)
        x, y = views(lambda array: array.reshape(three), bottom[0].data, top[0].data)
        s = bottom[1].data if self.two_bottoms else self.scale.data
        if self.is_in_place:
            self.x_copy[...] = bottom[0].data
            if self.two_bottoms:
                self.s_copy[...] = s  # it, too, may be overwritten by then
        self.xp.multiply(x, s.reshape(-1, 1), out=y)
        if self.bias_term:
            y += self.bias.data.reshape(-1, 1)

    def backward(self, top, wanted, bottom):
        three = self.fold(bottom)
        dy = top[0].diff.reshape(three)
        x = (self.x_copy if self.is_in_place else bottom[0].data).reshape(three)
        if self.bias_term and self.bias.wanted:
            middle_sum(self.xp, dy, out=self.sums)
            self.bias.diff += self.sums.reshape(self.bias.shape)
        if self.two_bottoms:
            s = self.s_copy if self.is_in_place else bottom[1].data
            if wanted[1]:
                middle_dot(self.xp, dy, x, bottom[1].diff.reshape(-1), self.product)
        else:
            s = self.scale.data
            if self.scale.wanted:
                middle_dot(self.xp, dy, x, self.sums, self.product)
                self.scale.diff += self.sums.reshape(s.shape)
        if wanted[0]:  # last: in place, dx overwrites dy
            dx = dy if self.is_in_place else bottom[0].diff.reshape(three)
            self.xp.multiply(dy, s.reshape(-1, 1), out=dx)


@register("Bias")
class Bias(Broadcast):
    r"""Add a learned array, or a second bottom.

    With b repeated over the axes of x that it does not have, and the sum over those axes,

        y = x + b           dx = dy         db = sum(dy)

    bottom[0]    any shape
    bottom[1]    optional: b itself, of the shape of bottom[0]'s axes from `axis` on
    top[0]       the shape of bottom[0]; may be bottom[0] itself
    bias         the learned b (with one bottom)
    bias_param   axis (1: channels), num_axes (1; -1 all axes from there, 0 a single number),
                 filler (0)

    Source: Caffe's layer of this name; the b of any affine map y = W x + b.
    """

    parameters = ("bias_param",)
    computes = (ops.Affine,)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self._line_up(spec.bias_param, "bias_param")
        if not self.two_bottoms:
            self.fillers["bias"] = spec.bias_param.filler
            self.op = ops.Affine(spec.bias_param.axis, scale=False, bias=True)

    def param_shapes(self, *bottom):
        return {} if self.two_bottoms else {"bias": self.operand_shape(*bottom)}

    def buffers(self, *bottom):
        return {} if self.two_bottoms else self._sums(*bottom)

    def forward(self, bottom, top):
        three = self.fold(bottom)
        b = bottom[1].data if self.two_bottoms else self.bias.data
        x, y = views(lambda array: array.reshape(three), bottom[0].data, top[0].data)
        self.xp.add(x, b.reshape(-1, 1), out=y)

    def backward(self, top, wanted, bottom):
        dy = top[0].diff.reshape(self.fold(bottom))
        if self.two_bottoms:
            if wanted[1]:
                middle_sum(self.xp, dy, out=bottom[1].diff.reshape(-1))
        elif self.bias.wanted:
            middle_sum(self.xp, dy, out=self.sums)
            self.bias.diff += self.sums.reshape(self.bias.shape)
        if wanted[0] and not self.is_in_place:  # in place dx is dy
            bottom[0].diff[...] = top[0].diff
