"""Where data enters a net: the `Input`, `DummyData` and `Data` layers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl import fillers, prototxt, schema
from minidl.blob import Blob, Shape
from minidl.context import Context
from minidl.data.batches import Batch, Batches, Maker, StandIn
from minidl.data.prefetch import Prefetcher
from minidl.data.sources import leveldb, lmdb
from minidl.data.transform import Transform
from minidl.data.upload import Upload
from minidl.errors import DataError
from minidl.layers.base import Count, Layer, register

log = logging.getLogger("minidl")


class _Source(Layer):
    """What layers without bottoms share: their tops' shapes are said, not inferred."""

    bottoms = 0
    tops: Count = (1, None)
    differentiable = False

    def shapes_for_tops(self, message: Any, field: str) -> list[Shape]:
        """The BlobShapes of `message`, one for each top; one shape alone serves all tops."""
        given = [tuple(int(d) for d in shape.dim) for shape in message.shape]
        tops = len(self.spec.top)
        if len(given) not in (1, tops):
            self.reject(
                f"has {len(given)} shape entries for {tops} tops",
                expected="one for all tops, or one for each",
                field=f"{field}.shape",
            )
        for shape in given:
            if any(d < 0 for d in shape):
                self.reject(f"shape {shape} has a negative size", field=f"{field}.shape")
        return given if len(given) == tops else given * tops

    def backward(self, top: list[Blob], wanted: Sequence[bool], bottom: list[Blob]) -> None:
        pass


@register("Input")
class Input(_Source):
    """Blobs that whoever runs the net fills: ``net.blobs["data"].data[...] = x``.

    top[i]        any shape; `forward` leaves what is there
    input_param   shape { dim: ... }, one for all tops or one for each

    Source: Caffe.
    """

    parameters = ("input_param",)

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        if not spec.input_param.shape:
            self.reject(
                "says no shape",
                fix="input_param { shape { dim: 1 dim: 3 dim: 227 dim: 227 } }",
            )
        self.shapes = self.shapes_for_tops(spec.input_param, "input_param")

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        return tuple(self.shapes)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        pass


@register("DummyData")
class DummyData(_Source):
    """Constants and random numbers of given shapes.

    top[i]            any shape
    dummy_data_param
      shape           one for all tops, or one for each
      num, channels, height, width   the old form of it: each of the four once, or once a top
      data_filler     none (zeros), one for all tops, or one for each. Tops with the filler
                      "constant" are filled once and then left alone, so that what a user writes
                      into them stays; the others are drawn anew in every forward

    Source: Caffe.
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
        columns = [s if len(s) == tops else s * tops for s in given.values()]
        return list(zip(*columns, strict=True))

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        return tuple(self.shapes)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        rng = self.random()
        for i, (blob, param) in enumerate(zip(top, self.data_fillers, strict=True)):
            array = blob.data
            if param.type == "constant" and self._filled[i] is array:
                continue
            self._filled[i] = array
            values = np.empty(blob.shape, self.dtype)
            fillers.fill(values, param, rng, self.where)
            self.ctx.device.write(array, values)


@register("Data")
class Data(_Source):
    """Batches of images and labels from a data set, read ahead in a thread of its own.

    top[0]   (N, C, H, W), each record after transform_param; without crop_size the first record
             of a batch decides C, H and W, and they may change from batch to batch
    top[1]   (N), the labels; may be left out

    data_param
      source       folder of an LMDB or LevelDB of Datums; a relative one starts from the current
                   folder
      batch_size   N
      backend      LMDB or LEVELDB, Caffe's default; what the folder holds counts, and the log
                   says where that is the other one
      prefetch     batches that lie ready (4)
      force_encoded_color   the old form of transform_param.force_color
      rand_skip    not applied, as in Caffe
    transform_param   scale, mirror, crop_size, mean_file, mean_value, force_color, force_gray:
                      see minidl.data.transform.Transform

    A Datum has one label, a whole number. Several, or real ones, go into a store of their own: a
    Datum of float_data, C x 1 x 1, for each record under the same key. A second Data layer with one
    top reads it, batch by batch beside the first; its top is (N, C, 1, 1).

    The order is that of the keys, over and over. Batch n depends on the data set, the net's seed,
    this layer's name and n alone, so `position`, the number of batches given so far, is all that
    has to be kept to go on with the same data; it may be set at any time.

    Where ctx.absent_data says (C, H, W) and the source is not there or not said, tops are one
    batch of random records of that shape (H = W = crop_size if cropped) with labels 0 or 1, the
    same one in every forward. The log says so.

    Source: Caffe.
    """

    tops = (1, 2)
    parameters = ("transform_param", "data_param")  # the former has the newer fields

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        p = spec.data_param
        self.position = 0
        if spec.HasField("input_param"):
            self.reject(
                "has input_param, which Input layers read",
                fix='type: "Input", if whoever runs the net fills the data',
            )
        self.batch_size, self.prefetch = p.batch_size, p.prefetch
        for field in ("batch_size", "prefetch"):
            if getattr(self, field) < 1:
                self.reject(
                    f"{field} is {getattr(self, field)}",
                    expected="at least 1",
                    field=f"data_param.{field}",
                )
        if not p.source and ctx.absent_data is None:
            self.reject("says no source", fix='data_param { source: "data/mnist/train_lmdb" }')
        for field in ("scale", "mean_file", "crop_size", "mirror"):
            if p.HasField(field):
                self.reject(
                    f"data_param has {field}, which is the form of 2013",
                    fix=f"move {field} to transform_param",
                    field=f"data_param.{field}",
                )
        if p.rand_skip:
            log.warning("%s: rand_skip is not applied, as in Caffe", self.where)
        self.source = Path(p.source)
        self.transform = Transform(
            spec.transform_param,
            ctx.training,
            ctx.dtype,
            self.reject,
            self.where,
            prototxt.where(spec, "transform_param.mean_file"),
        )
        self.color = True if p.force_encoded_color else self.transform.color
        if p.force_encoded_color and self.transform.color is False:
            self.reject("has both force_encoded_color and force_gray", fix="keep one of them")
        self._maker: Maker | None = None
        self._prefetcher: Prefetcher[Batch] | None = None
        self._upload: Upload | None = None
        self._close_source: Callable[[], None] = lambda: None
        self._shape: Shape | None = None  # of the first record, transformed
        self._records: list[tuple[int, str]] = []

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        self._open()
        assert self._shape is not None
        return self._tops((self.batch_size, *self._shape))

    def upcoming_shapes(self) -> tuple[Shape, ...] | None:
        return self._tops(self._next().data.shape)

    def _next(self) -> Batch:
        """The batch of the next forward, without giving it out."""
        if self._upload is not None and self._upload.number == self.position:
            return self._upload.batch
        return self._batches().peek(self.position)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        batch = self._next()
        if top[0].shape != batch.data.shape:
            raise DataError(
                f"batch {self.position} has the shape {batch.data.shape}, "
                f"its top '{top[0].name}' {top[0].shape}",
                where=self.where,
                expected="a top of the shape that upcoming_shapes() says",
            )
        self._deliver(top)
        self._records = batch.records
        for _ in range(self._opened().restarts(self.position)):
            log.info("Restarting data prefetching from start.")
        self.position += 1
        if self._upload is not None and self._batches().ready(self.position):
            self._upload.start(self.position, self._batches().take(self.position))

    def _deliver(self, top: list[Blob]) -> None:
        """Bring the next batch into the tops; to a GPU it may be on its way already."""
        number = self.position
        if self.ctx.device.kind == "cpu":
            batch = self._batches().get(number)
            top[0].data[...] = batch.data
            if len(top) > 1:
                top[1].data[...] = batch.labels
            return
        if self._upload is None:
            self._upload = Upload(self.ctx.device, self._batches().give_back)
        if self._upload.number != number:
            self._upload.start(number, self._batches().take(number))
        self._upload.deliver([blob.data for blob in top])

    def record(self, item: int, ago: int = 0) -> str:
        """What item `item` of the batch in the tops, or of one before it, is, for messages."""
        maker = self._opened()
        records = maker.make(self.position - 1 - ago).records if ago else self._records
        return maker.describe(records[item])

    def labels_of(self, number: int) -> np.ndarray:
        """The labels of batch `number`, read anew."""
        return self._opened().make(number).labels

    def close(self) -> None:
        if self._prefetcher is not None:
            self._prefetcher.close()
        self._close_source()
        self._maker = self._prefetcher = self._upload = None

    # ------------------------------------------------------------------

    def _tops(self, shape: Shape) -> tuple[Shape, ...]:
        return (shape, (shape[0],))[: len(self.spec.top)]

    def _batches(self) -> Prefetcher[Batch]:
        if self._prefetcher is None:
            name = f"minidl data layer {self.name}"
            self._prefetcher = Prefetcher(self._opened().make, self.prefetch, name)
        return self._prefetcher

    def _opened(self) -> Maker:
        if self._maker is None:
            self._open()
        assert self._maker is not None
        return self._maker

    def _open(self) -> None:
        """Open the source, or its stand-in, and look at the first record."""
        if self._maker is not None:
            return
        given = self.spec.data_param.source
        if self.ctx.absent_data is not None and not (given and os.path.exists(given)):
            self._maker = self._stand_in(self.ctx.absent_data)
            return
        try:
            self._warn_of_backend()
            source = leveldb.open_store(self.source, self.color)
            first = source[0]
        except DataError as error:
            error.where = f"{self.where}: {error.where}"
            raise
        self._shape = self.transform.top_shape(first.image.shape, source.describe(0, first.key))
        self._close_source = source.close
        self._maker = Batches(
            source,
            self.transform,
            self.batch_size,
            self.dtype,
            self.ctx.streams,
            self.name,
            self.ctx.device.host_empty,
        )

    def _stand_in(self, record: Shape) -> StandIn:
        side = self.transform.crop
        self._shape = (record[0], side, side) if side else tuple(record)
        log.warning(
            "%s: %s is not there: random records of shape %s take its place",
            self.where,
            self.spec.data_param.source or "the data set",
            self._shape,
        )
        shape = (self.batch_size, *self._shape)
        return StandIn(shape, self.dtype, self.ctx.streams, self.name)

    def _warn_of_backend(self) -> None:
        p = self.spec.data_param
        if p.backend == p.LEVELDB and lmdb.is_lmdb(self.source):
            said = "says backend: LEVELDB" if p.HasField("backend") else "says no backend (LEVELDB)"
            log.warning("%s: %s, but %s is an LMDB: read as LMDB", self.where, said, self.source)
        elif p.backend == p.LMDB and leveldb.holds_one(self.source):
            log.warning(
                "%s: says backend: LMDB, but %s is a LevelDB: read as LevelDB",
                self.where,
                self.source,
            )
