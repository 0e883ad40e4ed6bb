"""Base of the layers that read batches ahead, in a thread of their own."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from minidl.arrays.blob import Blob, Shape
from minidl.data.batches import Batch, Maker, StandIn
from minidl.data.prefetch import Prefetcher
from minidl.data.sampler import Sequential, Shuffled, shuffling
from minidl.data.upload import Upload
from minidl.errors import DataError
from minidl.layers.context import Context
from minidl.layers.source import Source

log = logging.getLogger("minidl")
OLD = ("scale", "mean_file", "crop_size", "mirror")  # fields of 2013, now in transform_param


class Reader(Source):
    """Batches by number, made ahead, and on a GPU sent ahead.

    A subclass says in `open` where batches come from. Batch n depends on the data set, the net's
    seed, the layer's name and n alone, so `position`, the number of batches given so far, is all
    that has to be kept to go on with the same data; it may be set at any time.

    batch_size   items in a batch
    prefetch     batches that lie ready
    workers      threads that make the items of a batch
    shuffle      whether records come in another random order in every pass over them
    skip         records left out at the beginning
    data_source  what the data set is called, for messages
    """

    prefetch = 4
    workers = 1
    shuffle = False
    skip = 0
    position: int
    batch_size: int
    data_source = ""

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        self.position = 0
        self._maker: Maker | None = None
        self._shapes: tuple[Shape, ...] = ()
        self._prefetcher: Prefetcher[Batch] | None = None
        self._upload: Upload | None = None
        self._records: list[tuple[int, str]] = []

    def open(self) -> tuple[Maker, tuple[Shape, ...]]:
        """Return the maker of the batches, and the shapes of its first batch's arrays, at most one
        for each top."""
        raise NotImplementedError

    def read_sizes(self, field: str, *names: str) -> None:
        """Read these fields of the layer's message `field`, which must be at least 1."""
        self.check_positive(field, *names)
        for name in names:
            setattr(self, name, getattr(getattr(self.spec, field), name))

    def read_source(self, field: str, example: str) -> None:
        """Read the field `source`, which may be missing where random records may stand in."""
        self.data_source = getattr(self.spec, field).source
        if not self.data_source and self.ctx.absent_data is None:
            self.reject("source is missing", fix=f'{field} {{ source: "{example}" }}')

    def refuse_old_fields(self, field: str) -> None:
        """Refuse fields of this message that have moved to transform_param."""
        for name in OLD:
            if getattr(self.spec, field).HasField(name):
                self.reject(
                    f"{field} has {name}, which is the form of 2013",
                    fix=f"move {name} to transform_param",
                    field=f"{field}.{name}",
                )

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        self._opened()
        return self._shapes[: len(self.spec.top)]

    def upcoming_shapes(self) -> tuple[Shape, ...] | None:
        shapes = tuple(array.shape for array in self._next().arrays)
        return shapes[: len(self.spec.top)]

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        batch = self._next()
        for blob, array in zip(top, batch.arrays, strict=False):
            if blob.shape != array.shape:
                raise DataError(
                    f"batch {self.position} has the shape {array.shape}, "
                    f"its top '{blob.name}' {blob.shape}",
                    where=self.where,
                    expected="a top of the shape that upcoming_shapes() says",
                )
        self._deliver(top)
        self._records = batch.records
        # Caffe's line, once for each new start
        for _ in range(self._opened().restarts(self.position)):
            log.info("Restarting data prefetching from start.")
        self.position += 1
        # While the GPU computes, the next batch is sent if it is ready.
        if self._upload is not None and self._batches().ready(self.position):
            self._upload.start(self.position, self._batches().take(self.position))

    @property
    def records(self) -> int:
        return self._opened().length

    @property
    def last_records(self) -> list[tuple[int, str]]:
        """Number and key of each item of the last batch."""
        return self._records

    def record(self, item: int, ago: int = 0) -> str:
        maker = self._opened()
        # The last batch's records are at hand; older batches are made again.
        records = maker.make(self.position - 1 - ago).records if ago else self._records
        return maker.describe(records[item])

    def labels_of(self, number: int) -> np.ndarray | None:
        return self._opened().make(number).labels

    def close(self) -> None:
        if self._prefetcher is not None:
            self._prefetcher.close()
        if self._maker is not None:
            self._maker.close()
        self._maker = self._prefetcher = self._upload = None

    def absent(self) -> bool:
        """True where the data set is missing and random records are to stand in for it."""
        given = self.data_source
        return self.ctx.absent_data is not None and not (given and os.path.exists(given))

    def stand_in(self, *shapes: Shape) -> tuple[Maker, tuple[Shape, ...]]:
        """Return one batch of noise for these tops, in the form of `open`, and log it."""
        log.warning(
            "%s: %s is missing: random records of shape %s take its place",
            self.where,
            self.data_source or "the data set",
            shapes[0][1:],
        )
        return StandIn(shapes, self.dtype, self.ctx.streams, self.name), shapes

    def order_of(self, *lengths: int) -> Sequential:
        """Return the order of the records in files of these lengths."""
        n, skip = self.batch_size, self.skip
        if not self.shuffle:
            return Sequential(sum(lengths), n, skip=skip)
        return Shuffled(sum(lengths), n, shuffling(self.ctx.streams, lengths), skip=skip)

    @property
    def making(self) -> tuple[Any, ...]:
        """What makers of batches take: number type, random streams, name, threads, memory."""
        ctx = self.ctx
        return self.dtype, ctx.streams, self.name, self.workers, ctx.device.host_empty

    # ------------------------------------------------------------------

    def _next(self) -> Batch:
        """Return the batch of the next forward, without giving it out."""
        if self._upload is not None and self._upload.number == self.position:
            return self._upload.batch
        return self._batches().peek(self.position)  # left there for forward to take

    def _deliver(self, top: list[Blob]) -> None:
        """Bring the next batch into the tops; to a GPU it may be on its way already."""
        number = self.position
        if self.ctx.device.kind == "cpu":
            for blob, array in zip(top, self._batches().get(number).arrays, strict=False):
                blob.data[...] = array
            return
        if self._upload is None:
            self._upload = Upload(self.ctx.device, self._batches().give_back)
        if self._upload.number != number:
            self._upload.start(number, self._batches().take(number))
        self._upload.deliver([blob.data for blob in top])

    def _batches(self) -> Prefetcher[Batch]:
        if self._prefetcher is None:
            name = f"minidl data layer {self.name}"
            self._prefetcher = Prefetcher(self._opened().make, self.prefetch, name)
        return self._prefetcher

    def _opened(self) -> Maker:
        if self._maker is None:
            self._maker, self._shapes = self.open()
        return self._maker
