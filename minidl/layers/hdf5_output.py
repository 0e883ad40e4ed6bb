"""The `HDF5Output` layer: what two blobs hold, pass by pass, in an HDF5 file."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.arrays.blob import Blob, Shape
from minidl.arrays.device import Cuda
from minidl.errors import DeviceError, UsageError
from minidl.layers.base import Layer, register
from minidl.layers.context import Context
from minidl.storage import replaceable

NAMES = ("data", "label")


@register("HDF5Output")
class HDF5Output(Layer):
    """Write both bottoms of every forward to a file, one pass behind the other. Needs h5py.

    bottom[0]   (N, ...): rows for the dataset "data"
    bottom[1]   (N, ...): rows for the dataset "label"; N as in bottom[0]

    hdf5_output_param
      file_name   the file; the first forward replaces it, if it is one that this layer wrote
                  (an HDF5 file of "data" and "label"), and refuses any other

    As in Caffe, both datasets have four axes at least: labels (N) become (N, 1, 1, 1). Between two
    passes the file is closed, and may be read.

    Source: Caffe, which fails in its second forward.
    """

    family = "data"
    bottoms = 2
    tops = 0
    differentiable = False
    parameters = ("hdf5_output_param",)

    def __init__(self, spec: Any, ctx: Context) -> None:
        super().__init__(spec, ctx)
        self.path = spec.hdf5_output_param.file_name
        if not self.path:
            self.reject("file_name is missing", fix='hdf5_output_param { file_name: "out.h5" }')
        self._shapes: list[Shape] = []  # of the rows, once some are in the file

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        if not bottom[0] or not bottom[1] or bottom[0][0] != bottom[1][0]:
            self.reject(
                f"bottoms have the shapes {bottom[0]} and {bottom[1]}", expected="N rows each"
            )
        return ()

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        device = self.ctx.device
        if isinstance(device, Cuda) and device.stream.is_capturing():
            raise DeviceError("writes to a file in every pass", where=self.where)
        rows = [_four_axes(device.to_host(blob.data)) for blob in bottom]
        shapes = [array.shape[1:] for array in rows]
        if self._shapes and shapes != self._shapes:
            raise UsageError(
                f"rows have the shapes {shapes}, those before {self._shapes}",
                where=f"{self.where}: {self.path}",
                expected="rows of one shape in all passes",
            )
        if not self._shapes:
            replaceable.check(self.path, replaceable.hdf5_of(NAMES))
        try:
            with self._h5py().File(
                self.path, "a" if self._shapes else "w", libver="earliest"
            ) as file:
                for name, array in zip(NAMES, rows, strict=True):
                    _append(file, name, array)
        except OSError as error:  # of h5py: a full disk, a folder that is not there
            raise UsageError(
                f"cannot be written: {error}", where=f"{self.where}: {self.path}"
            ) from None
        self._shapes = shapes

    def _h5py(self) -> Any:
        try:
            import h5py
        except ImportError:
            raise UsageError(
                "h5py, which writes HDF5 files, is not installed",
                where=self.where,
                fix="pip install h5py",
            ) from None
        return h5py


def _append(file: Any, name: str, array: np.ndarray) -> None:
    """Add rows to a dataset of the file, which may not be there yet."""
    row = array.shape[1:]
    if name not in file:
        chunk = (max(1, min(len(array), (1 << 20) // max(1, array[:1].nbytes))), *row)
        file.create_dataset(name, (0, *row), array.dtype, maxshape=(None, *row), chunks=chunk)
    dataset = file[name]
    dataset.resize(len(dataset) + len(array), axis=0)
    dataset[len(dataset) - len(array) :] = array


def _four_axes(array: np.ndarray) -> np.ndarray:
    return array.reshape(array.shape + (1,) * (4 - array.ndim))
