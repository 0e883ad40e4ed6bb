"""A learned blob that depends on nothing: the `Parameter` layer."""

from __future__ import annotations

from minidl import schema
from minidl.layers.base import Layer, register


@register("Parameter")
class Parameter(Layer):
    """Offer a learned array as a top.

        y = value
        dvalue = dy

    bottoms: none
    top[0]            value
    value             the learned array, of the shape given; 0 until it is learned or loaded
    parameter_param   shape, required

    Source: Caffe, where the top is the parameter's own memory; here it is a copy.
    """

    family = "data"
    parameters = ("parameter_param",)
    bottoms = 0

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.parameter_param
        if not p.HasField("shape"):
            self.reject("shape is missing", fix="add parameter_param { shape { dim: ... } }")
        self.shape = tuple(p.shape.dim)
        # The message has no filler; values come from a caffemodel or by training.
        self.fillers = {"value": schema.FillerParameter(type="constant", value=0)}

    def top_shapes(self):
        return (self.shape,)

    def param_shapes(self):
        return {"value": self.shape}

    def forward(self, bottom, top):
        top[0].data[...] = self.value.data

    def backward(self, top, wanted, bottom):
        if self.value.wanted:
            self.value.diff += top[0].diff
