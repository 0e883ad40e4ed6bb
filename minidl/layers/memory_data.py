"""The `MemoryData` layer: arrays of a program, batch by batch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from minidl.arrays.blob import Blob, Shape
from minidl.data.batches import StandIn
from minidl.errors import DataError, UsageError
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.source import Source

log = logging.getLogger("minidl")


@register("MemoryData")
class MemoryData(Source):
    """Batches of arrays that a program hands over: ``net.set_input_arrays(data, labels)``.

    top[0]   (N, C, H, W)
    top[1]   (N), the labels

    memory_data_param   batch_size N, channels C, height H, width W: all of them, at least 1

    The arrays are (M, C, H, W) and (M), or any shape of M numbers, where M is a multiple of N, with
    M / N batches that are given over and over. They are not copied: what is written to them
    counts from the next forward on. transform_param does nothing, as in Caffe, and the log says so.

    Where ctx.absent_data is set, one batch of random records stands in for arrays that nobody has
    handed over, and the log says so. Its shape is the layer's own.

    `position` is the number of batches given since the arrays were handed over; it may be set.

    Source: Caffe, which wants C-ordered float32; here any arrays of numbers will do.
    """

    tops = 2
    parameters = ("memory_data_param",)
    position: int

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p = spec.memory_data_param
        self.position = 0
        self.check_positive("memory_data_param", "batch_size", "channels", "height", "width")
        if spec.HasField("transform_param"):
            log.warning("%s: transform_param is not applied, as in Caffe", self.where)
        self.batch_size = p.batch_size
        self.item: Shape = (p.channels, p.height, p.width)
        self._arrays: tuple[np.ndarray, np.ndarray] | None = None

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        return (self.batch_size, *self.item), (self.batch_size,)

    def reset(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Give out these arrays from now on, from their beginning. Errors: UsageError for other
        shapes."""
        data, labels = np.asarray(data), np.asarray(labels)
        expected = f"(M, {', '.join(map(str, self.item))}), M a multiple of {self.batch_size}"
        if data.shape[1:] != self.item or not len(data) or len(data) % self.batch_size:
            raise UsageError(
                f"data has the shape {data.shape}", where=self.where, expected=expected
            )
        if labels.size != len(data):
            raise UsageError(
                f"labels have the shape {labels.shape}",
                where=self.where,
                expected=f"{len(data)} numbers, one for each item of the data",
            )
        for name, array in (("data", data), ("labels", labels)):
            if array.dtype.kind not in "fiub":
                raise UsageError(f"{name} has the type {array.dtype}", where=self.where)
        self._arrays, self.position = (data, labels.reshape(-1)), 0

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        if self._arrays is None and self.ctx.absent_data is not None:
            self._stand_in()
        if self._arrays is None:
            raise DataError(
                "has no data yet",
                where=self.where,
                fix="net.set_input_arrays(data, labels), before the net runs",
            )
        first = self._first(self.position)
        for blob, array in zip(top, self._arrays, strict=True):
            self.ctx.device.write(blob.data, array[first : first + self.batch_size])
        self.position += 1

    def _stand_in(self) -> None:
        """Let one batch of noise be the arrays."""
        log.warning("%s: has no data yet: random records take its place", self.where)
        shapes = self.top_shapes()
        # One batch, given out again and again.
        batch = StandIn(shapes, self.dtype, self.ctx.streams, self.name).make(0)
        self._arrays = batch.data, batch.labels

    def record(self, item: int, ago: int = 0) -> str:
        return f"item {self._first(self.position - 1 - ago) + item} of the arrays"

    def labels_of(self, number: int) -> np.ndarray:
        assert self._arrays is not None
        first = self._first(number)
        return self._arrays[1][first : first + self.batch_size]

    def _first(self, number: int) -> int:
        """Return the first item of batch `number`."""
        assert self._arrays is not None
        # After the last batch comes the first
        return number * self.batch_size % len(self._arrays[0])
