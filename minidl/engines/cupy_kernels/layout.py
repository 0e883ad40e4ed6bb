"""Layouts for GPUs: the elements without gaps, in 16 or 32 bits, channels first or last.

From one to another in one launch: convert.cu.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.memory import Layout, Memory, Shape
from minidl.engines.cupy_kernels.launch import kernel
from minidl.engines.plan import Run
from minidl.errors import RunError

ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}
SHORT = {"float32": "", "float16": " fp16", "bfloat16": " bf16"}
NUMBERS = {"float32": "float", "float16": "Half", "bfloat16": "Bfloat16"}  # as numbers.cuh has them
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
        """Arrange the bytes in C order; `plain` may be of any number type."""
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
    device = _device(target)
    with device.current():
        conversion(device, shape, start, device.address(source), end, device.address(target))()


def _device(array: Any) -> Device:
    return Device(f"cuda:{array.device.id}")


def converter(device: Device, source: Memory, target: Memory) -> Run:
    """Return a run that copies `source` to `target`, which have one shape, each Dense or plain."""
    if source.shape != target.shape:
        raise RunError(f"a conversion from shape {source.shape} to {target.shape} was asked for")
    start, end = (_dense(memory.layout) for memory in (source, target))
    return conversion(device, source.shape, start, source.address, end, target.address)


def conversion(
    device: Device, shape: Shape, start: Dense | None, at: int, end: Dense | None, to: int
) -> Run:
    """Do the same for two addresses; None stands for plain float32."""
    channels, places = _extents(shape)
    defines: dict[str, object] = {}
    for name, layout in (("FROM", start), ("TO", end)):
        defines[name] = "float" if layout is None else NUMBERS[layout.dtype]
        defines[f"{name}_LAST"] = int(layout is not None and layout.channels_last)
    run = kernel(device, "convert", "convert", **defines)
    return run.bind(math.prod(shape), at, to, channels, places)


def _extents(shape: Shape) -> tuple[int, int]:
    """Return channels and places of each; one channel where there is no such axis."""
    return (shape[1], math.prod(shape[2:])) if len(shape) > 1 else (1, math.prod(shape))


def _dense(layout: Layout | None) -> Dense | None:
    if layout is None or isinstance(layout, Dense):
        return layout
    raise RunError(f"a GPU cannot read the layout {layout} ({type(layout).__name__})")
