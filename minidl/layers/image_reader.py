"""What layers share that read images ahead and transform them: Data and ImageData."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import prototxt
from minidl.blob import Shape
from minidl.context import Context
from minidl.data.batches import Batches, Maker
from minidl.data.resize import Resize
from minidl.data.sampler import Sequential, Shuffled, shuffling
from minidl.data.sources import Source as Records
from minidl.data.transform import Transform
from minidl.errors import DataError
from minidl.layers.reader import Reader
from minidl.threads import threads

OLD = ("scale", "mean_file", "crop_size", "mirror")  # fields of 2013, now in transform_param


class ImageReader(Reader):
    """Batches of transformed records and their labels.

    A subclass sets `batch_size`, `prefetch`, `transform`, `shuffle` and `skip` (records left out at
    the beginning), and opens the source in `open_source`.
    """

    transform: Transform

    tops = (1, 2)
    shuffle = False
    skip = 0

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        if spec.HasField("input_param"):
            self.reject(
                "has input_param, which Input layers read",
                fix='type: "Input", if whoever runs the net fills the data',
            )

    def open_source(self) -> Records:
        """The records. Errors: DataError, to whose place the layer's is added."""
        raise NotImplementedError

    def refuse_old_fields(self, field: str) -> None:
        """Refuse what stood in this message before there was transform_param."""
        for name in OLD:
            if getattr(self.spec, field).HasField(name):
                self.reject(
                    f"{field} has {name}, which is the form of 2013",
                    fix=f"move {name} to transform_param",
                    field=f"{field}.{name}",
                )

    def transform_with(self, resize: Callable[[], Resize] | None = None) -> Transform:
        """What transform_param says; `resize` where the layer's own fields say a size."""
        p = self.spec.transform_param
        return Transform(
            p,
            self.ctx.training,
            self.ctx.dtype,
            self.reject,
            self.where,
            prototxt.where(self.spec, "transform_param.mean_file"),
            resize() if resize else None,
        )

    def open(self) -> tuple[Maker, tuple[Shape, ...]]:
        """Open the source, or its stand-in, and look at the first record."""
        if self.absent():
            return self._stand_in()
        try:
            source = self.open_source()
            first = source[0]
        except DataError as error:
            for one in getattr(error, "errors", [error]):
                one.where = f"{self.where}: {one.where}"
            raise
        shape = self.transform.top_shape(first.image.shape, source.describe(0, first.key))
        n, heavy = self.batch_size, source.decoded or self.transform.costly
        asked = self.spec.transform_param.workers or (threads() if heavy else 1)
        self.workers = min(n, asked)
        maker = Batches(
            source,
            self.transform,
            self._order(len(source)),
            self.dtype,
            self.ctx.streams,
            self.name,
            self.workers,
            self.ctx.device.host_empty,
        )
        return maker, ((n, *shape), (n, *first.label_shape))

    def _order(self, length: int) -> Sequential:
        n, skip = self.batch_size, self.skip
        if not self.shuffle:
            return Sequential(length, n, skip=skip)
        order = shuffling(self.ctx.streams, (length,))
        return Shuffled(length, n, order, skip=skip)

    def _stand_in(self) -> tuple[Maker, tuple[Shape, ...]]:
        assert self.ctx.absent_data is not None
        shape, side, n = self.ctx.absent_data, self.transform.crop, self.batch_size
        if len(shape) != 3:
            self.reject(f"its records would have the shape {shape}", expected="(C, H, W)")
        if side:
            shape = (shape[0], side, side)
        return self.stand_in((n, *shape), (n,))
