"""Layouts for GPUs: the elements without gaps, in 16 or 32 bits, channels first or last."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.memory import Shape

ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}
SHORT = {"float32": "", "float16": " fp16", "bfloat16": " bf16"}
ORDERS = ("nchw", "nhwc")


@dataclass(frozen=True)
class Dense:
    """An arrangement of an array on a GPU; implements `minidl.arrays.memory.Layout`.

    shape   (N, C, *size), or any other
    dtype   of the elements: "float16", "bfloat16" or "float32"
    order   "nchw": in C order; "nhwc": N, *size, C, which is C order, too, for fewer than 3 axes

    Float32 in C order is no layout at all: that is None wherever a layout is asked for.
    """

    shape: Shape
    dtype: str
    order: str = "nchw"

    def __post_init__(self) -> None:
        assert self.dtype in ITEMSIZE and self.order in ORDERS, self
        assert (self.dtype, self.order) != ("float32", "nchw"), "plain memory has the layout None"

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * ITEMSIZE[self.dtype]

    @property
    def channels_last(self) -> bool:
        return self.order == "nhwc"

    def __str__(self) -> str:
        return self.order + SHORT[self.dtype]

    def pack(self, plain: Any, packed: Any) -> None:
        """Arrange a C-ordered array of the GPU in the bytes `packed`."""
        source = plain.astype("float32", copy=False)
        _convert(source, packed, self.shape, None, self)

    def unpack(self, packed: Any, plain: Any) -> None:
        """The way back; `plain` may be of any number type."""
        if plain.dtype == "float32":
            _convert(packed, plain, self.shape, self, None)
            return
        device = _device(plain)
        with device.current():
            values = device.xp.empty(self.shape, "float32")
            _convert(packed, values, self.shape, self, None)
            plain[...] = values


def _convert(
    source: Any, target: Any, shape: Shape, start: Dense | None, end: Dense | None
) -> None:
    from minidl.engines.cupy_kernels.convert import conversion

    device = _device(target)
    with device.current():
        conversion(device, shape, start, device.address(source), end, device.address(target))()


def _device(array: Any) -> Device:
    return Device(f"cuda:{array.device.id}")
