"""The `DummyData` layer: constants and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import schema
from minidl.arrays.blob import Blob, Shape
from minidl.layers import fillers
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.source import Source


@register("DummyData")
class DummyData(Source):
    """Constants and random numbers of given shapes.

    top[i]            any shape
    dummy_data_param
      shape           one for all tops, or one for each
      num, channels, height, width   the old form of it: each of the four once, or once a top
      data_filler     none (zeros), one for all tops, or one for each. Tops with the filler
                      "constant" are filled once and then left alone, so that what a user writes
                      into them stays; the others are drawn again in every forward, and so are
                      constants in whose memory a layer above works in place

    Source: Caffe, where such a layer works on its own result from the second pass on (its issue
    4031).
    """

    parameters = ("dummy_data_param",)
    old_sizes = ("num", "channels", "height", "width")

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p = spec.dummy_data_param
        tops = len(spec.top)
        self.shapes = self._old_shapes(p) or self.shapes_for_tops(p, "dummy_data_param")
        if len(p.data_filler) not in (0, 1, tops):
            self.reject(
                f"has {len(p.data_filler)} data_filler entries for {tops} tops",
                expected="none, one for all tops, or one for each",
                field="dummy_data_param.data_filler",
            )
        given = list(p.data_filler) or [schema.FillerParameter()]
        self.data_fillers = given if len(given) == tops else given * tops
        self._filled: list[Any] = [None] * tops  # the array that a constant was written to

    def _old_shapes(self, p: Any) -> list[Shape]:
        given = {name: list(getattr(p, name)) for name in self.old_sizes}
        if not any(given.values()):
            return []
        tops = len(self.spec.top)
        if p.shape:
            self.reject(
                "has both shape and " + ", ".join(name for name in given if given[name]),
                fix="keep shape",
                field="dummy_data_param.shape",
            )
        for name, sizes in given.items():
            if len(sizes) not in (1, tops):
                self.reject(
                    f"has {len(sizes)} {name} entries for {tops} tops",
                    expected="one for all tops, or one for each",
                    fix="or write shape { dim: ... } in place of num, channels, height and width",
                    field=f"dummy_data_param.{name}",
                )
        # One number for all tops, or one for each.
        columns = [s if len(s) == tops else s * tops for s in given.values()]
        return list(zip(*columns, strict=True))

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        return tuple(self.shapes)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        rng = self.random()
        for i, (blob, param) in enumerate(zip(top, self.data_fillers, strict=True)):
            array = blob.data
            lasts = param.type == "constant" and self.spec.top[i] not in self.overwritten
            if lasts and self._is_filled(i, array):  # a constant that nobody overwrites stays
                continue
            self._filled[i] = array
            values = np.empty(blob.shape, self.dtype)
            fillers.fill(values, param, rng, self.where)
            self.ctx.device.write(array, values)

    def _is_filled(self, i: int, array: Any) -> bool:
        """True where top i was filled in this memory, whose address stays its own while it is
        held."""
        filled, address = self._filled[i], self.ctx.device.address
        return (
            filled is not None and filled.shape == array.shape and address(filled) == address(array)
        )
