"""Base of the layers that read images ahead and transform them: Data, ImageData and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import prototxt, schema
from minidl.arrays.blob import Shape
from minidl.arrays.threads import threads
from minidl.data.batches import Batches, Maker
from minidl.data.resize import Resize
from minidl.data.sources import Source as Records
from minidl.data.transform import Transform
from minidl.errors import DataError, placed_in
from minidl.layers.context import Context
from minidl.layers.reader import Reader


class ImageReader(Reader):
    """Batches of transformed records and their labels.

    A subclass sets `batch_size`, `prefetch`, `transform` and `shuffle`, and opens the source in
    `open_source`.
    """

    transform: Transform

    tops = (1, 2)

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        if spec.HasField("input_param"):
            self.reject(
                "has input_param, which only Input layers read",
                fix='type: "Input", if whoever runs the net fills the data',
            )

    def open_source(self) -> Records:
        """Return the records. Errors: DataError, to whose place the layer's is added."""
        raise NotImplementedError

    def stretch_to(self, field: str) -> Callable[[], Resize] | None:
        """Return a function that makes the Resize to new_height and new_width, fields of the
        message `field`; None where they are not set."""
        p = getattr(self.spec, field)
        if bool(p.new_height) != bool(p.new_width):
            self.reject(
                f"new_height is {p.new_height} and new_width {p.new_width}",
                expected="both, or none",
                field=f"{field}.new_height",
            )
        size = schema.ImageResize(height=p.new_height, width=p.new_width)
        return (lambda: Resize(size, self.reject)) if p.new_height else None

    def draw_skip(self, rand_skip: int, length: int, source: str) -> None:
        """Set `skip`: drawn when the source is opened, since a run that is resumed may have another
        seed."""
        if rand_skip > length:
            raise DataError(
                f"lists {length} images, and rand_skip is {rand_skip}",
                where=source,
                expected=f"rand_skip <= {length}",
            )
        if rand_skip:
            rng = self.ctx.streams.generator(f"{self.name} skip", 0)
            self.skip = int(rng.integers(rand_skip))

    def transform_with(
        self, resize: Callable[[], Resize] | None = None, boxes: bool = False
    ) -> Transform:
        """Return the Transform of transform_param, resizing as `resize` says if the layer's own
        fields give a size.

        boxes   the layer does what SSD's fields say
        """
        p = self.spec.transform_param
        return Transform(
            p,
            self.ctx.training,
            self.ctx.dtype,
            self.reject,
            self.where,
            prototxt.where(self.spec, "transform_param.mean_file"),
            resize() if resize else None,
            boxes,
        )

    def open(self) -> tuple[Maker, tuple[Shape, ...]]:
        """Open the source, or its stand-in, and look at the first record."""
        if self.absent():
            return self._stand_in()
        with placed_in(self.where):
            source = self.open_source()
            first = source[0]
        shape = self.transform.top_shape(first.image.shape, source.describe(0, first.key))
        # Several threads pay only where pixels are decoded or worked on.
        n, heavy = self.batch_size, source.decoded or self.transform.costly
        asked = self.spec.transform_param.workers or (threads() if heavy else 1)
        self.workers = min(n, asked)
        maker = Batches(source, self.transform, self.order_of(len(source)), *self.making)
        return maker, ((n, *shape), (n, *maker.label_shape(first)))

    def _stand_in(self) -> tuple[Maker, tuple[Shape, ...]]:
        assert self.ctx.absent_data is not None
        shape, window, n = self.ctx.absent_data, self.transform.crop, self.batch_size
        if len(shape) != 3:
            self.reject(f"its records would have the shape {shape}", expected="(C, H, W)")
        shape = (shape[0], *window) if window else self.absent_shape(shape)
        return self.stand_in((n, *shape), (n, *self.absent_label(shape)))

    def absent_shape(self, shape: Shape) -> Shape:
        """Return the shape that an absent image of this shape has in a batch where nothing crops
        it."""
        return shape

    def absent_label(self, shape: Shape) -> Shape:
        """Return the shape of the label of an absent image that has this shape in a batch."""
        return ()
