"""The `HDF5Data` layer: rows of arrays in HDF5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minidl.arrays.blob import Shape
from minidl.data.batches import Maker
from minidl.data.rows import RowBatches
from minidl.data.sources.hdf5 import Hdf5Rows
from minidl.errors import placed_in
from minidl.layers.base import register
from minidl.layers.context import Context
from minidl.layers.reader import Reader


@register("HDF5Data")
class HDF5Data(Reader):
    """Batches of rows from HDF5 files, read ahead in a thread of its own. Needs h5py.

    top[i]   (N, ...): N rows of the dataset that is called as the top, whole numbers or floats

    hdf5_data_param
      source      a text file with the path of an HDF5 file in each line, relative to the current
                  folder
      batch_size  N; a batch may reach over the end of a file into the next
      shuffle     in every pass over the data, the files in another random order and so the rows of
                  each; a function of the net's seed, so a resumed run goes on with the same rows

    All datasets of a file have as many rows. Rows are taken as they are: transform_param is
    refused. `position`, the number of batches given, may be set, and is what a snapshot keeps.

    Source: Caffe, which reads a file as a whole into memory, and whose shuffling knows no seed.
    """

    parameters = ("hdf5_data_param",)

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        self.read_sizes("hdf5_data_param", "batch_size")
        self.read_source("hdf5_data_param", "train.txt")
        self.shuffle = spec.hdf5_data_param.shuffle
        if spec.HasField("transform_param"):
            self.reject(
                "has transform_param, but takes rows as they are",
                fix="put it into the arrays, or into a Power layer",
                field="transform_param",
            )

    def open(self) -> tuple[Maker, tuple[Shape, ...]]:
        n, tops = self.batch_size, list(self.spec.top)
        if self.absent():
            assert self.ctx.absent_data is not None
            # The first top stands for images, the others for labels.
            return self.stand_in((n, *self.ctx.absent_data), *[(n,)] * (len(tops) - 1))
        with placed_in(self.where):
            rows = Hdf5Rows(Path(self.data_source), tops)
        order = self.order_of(*rows.lengths)
        maker = RowBatches(rows, order, self.dtype, self.ctx.device.host_empty)
        return maker, maker.shapes

    def labels_of(self, number: int) -> np.ndarray | None:
        """Return the rows of the last top in batch `number`, read again."""
        return self._opened().make(number).arrays[-1]
