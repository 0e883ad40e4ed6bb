"""What a net learns, in one piece: all values and all gradients, flat, the last layer first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import ALIGNMENT, Memory


class Segment(NamedTuple):
    """Where a parameter lies: `size` elements from `start` on."""

    param: Param
    start: int
    size: int


class Arena:
    """Moves parameters into two flat arrays of a device, one of values and one of gradients.

    One launch can then update all of them. Their order is that in which backward completes the
    gradients, so that those of the last layers, which are ready first, can be sent to other GPUs
    while backward goes on.

    segments    where each parameter lies; between them there are zeros, for alignment
    """

    def __init__(self, params: Sequence[Param], device: Device, dtype: Any) -> None:
        self.device, self.dtype = device, np.dtype(dtype)
        step = ALIGNMENT // self.dtype.itemsize
        self.segments: list[Segment] = []
        end = 0
        for param in reversed(params):
            self.segments.append(Segment(param, end, param.count))
            end += -(-param.count // step) * step
        self.values = device.zeros((end,), dtype)
        self.gradients = device.zeros((end,), dtype)
        for segment in self.segments:
            segment.param.values.move(self.memory(self.values, segment))
            segment.param.gradient.move(self.memory(self.gradients, segment))

    def memory(self, whole: Any, segment: Segment) -> Memory:
        """The part of a flat array as long as `values` that is this parameter's."""
        part = whole[segment.start : segment.start + segment.size]
        return Memory(segment.param.shape, None, part.reshape(segment.param.shape), self.device)

    @property
    def whole(self) -> bool:
        """Whether every parameter is still here: somebody may have given one other memory."""
        return all(
            home.memory.address == self.device.address(whole) + start * self.dtype.itemsize
            for param, start, _ in self.segments
            for home, whole in ((param.values, self.values), (param.gradient, self.gradients))
        )
