"""From one layout to another, in one launch: see convert.cu."""

from __future__ import annotations

import math

from minidl.arrays.device import Device
from minidl.arrays.memory import Layout, Memory, Shape
from minidl.engines.cupy_kernels.launch import kernel
from minidl.engines.dense import Dense
from minidl.engines.plan import Run
from minidl.errors import RunError

NUMBERS = {"float32": "float", "float16": "Half", "bfloat16": "Bfloat16"}  # as numbers.cuh has them


def converter(device: Device, source: Memory, target: Memory) -> Run:
    """What copies `source` to `target`, which have one shape, each in a Dense layout or plain."""
    if source.shape != target.shape:
        raise RunError(f"a conversion from shape {source.shape} to {target.shape} was asked for")
    start, end = (_dense(memory.layout) for memory in (source, target))
    return conversion(device, source.shape, start, source.address, end, target.address)


def conversion(
    device: Device, shape: Shape, start: Dense | None, at: int, end: Dense | None, to: int
) -> Run:
    """The same for two addresses; None stands for plain float32."""
    channels, places = _extents(shape)
    defines: dict[str, object] = {}
    for name, layout in (("FROM", start), ("TO", end)):
        defines[name] = "float" if layout is None else NUMBERS[layout.dtype]
        defines[f"{name}_LAST"] = int(layout is not None and layout.channels_last)
    run = kernel(device, "convert", "convert", **defines)
    return run.bind(math.prod(shape), at, to, channels, places)


def _extents(shape: Shape) -> tuple[int, int]:
    """Channels, and places of each of them; one channel where there is no such axis."""
    return (shape[1], math.prod(shape[2:])) if len(shape) > 1 else (1, math.prod(shape))


def _dense(layout: Layout | None) -> Dense | None:
    if layout is None or isinstance(layout, Dense):
        return layout
    raise RunError(f"a GPU cannot read the layout {layout} ({type(layout).__name__})")
