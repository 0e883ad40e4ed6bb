"""The `Input` layer: where a program's data enters a net."""

from __future__ import annotations

from typing import Any

from minidl.arrays.blob import Blob, Shape
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.source import Source


@register("Input")
class Input(Source):
    """Blobs that whoever runs the net fills: ``net.blobs["data"].data[...] = x``.

    top[i]        any shape; `forward` leaves what is there: what was written last, be it by a layer
                  above that works in place
    input_param   shape { dim: ... }, one for all tops or one for each

    Source: Caffe.
    """

    parameters = ("input_param",)

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        if not spec.input_param.shape:
            self.reject(
                "shape is missing", fix="input_param { shape { dim: 1 dim: 3 dim: 227 dim: 227 } }"
            )
        self.shapes = self.shapes_for_tops(spec.input_param, "input_param")

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        return tuple(self.shapes)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        pass
