"""The world of a layer written in Python: a module `caffe` to import, and blobs on the host."""

from __future__ import annotations

import enum
import importlib
import math
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minidl import schema
from minidl.arrays.blob import Blob, Param, Shape
from minidl.errors import LayerConfigError


class Phase(enum.IntEnum):
    """A number, as in today's pycaffe; as text its name, as in that of 2015: 'TRAIN'."""

    TRAIN = schema.TRAIN
    TEST = schema.TEST

    def __str__(self) -> str:
        return self.name


class PythonLayer:
    """Base of layers written in Python, if they want one: `caffe.Layer` in their modules.

    type        "Python"
    param_str   what python_param says
    phase       0 in training (`caffe.TRAIN`), 1 in testing; str() of it is the name
    blobs       the layer's parameters; setup makes them with ``self.blobs.add_blob(*shape)`` and
                may fill their `data`

    A class has the methods

        setup(bottom, top)          once; here param_str is read and parameters are made
        reshape(bottom, top)        before every pass: ``top[0].reshape(*shape)`` for each top
        forward(bottom, top)        fills the data of all tops, and may reshape them first
        backward(top, propagate_down, bottom)   fills the diff of bottom[i] where propagate_down[i]
                                    is true, and adds to those of parameters

    bottom and top are lists of blobs with data, diff (NumPy arrays), shape, num, channels, height,
    width and count.
    """

    type: str = "Python"
    param_str: str = ""
    phase: Phase = Phase.TEST
    blobs: Blobs

    def __init__(self, param: Any = None, *args: Any, **kwargs: Any) -> None:
        """Made with the layer's LayerParameter, which a class that overrides this has to take."""

    def setup(self, bottom: list[HostBlob], top: list[HostBlob]) -> None:
        """Do nothing: a class may have nothing to set up."""


class HostBlob:
    """A blob as code on the host sees it: with pycaffe's names, in NumPy arrays.

    name, shape, dtype
    blob     what it stands for; None: nothing yet, its arrays are zeros of its own
    locked   why its shape cannot be changed now, "" if it can

    On the CPU its arrays are those of the blob; on a GPU they are copies, made when first asked
    for, and `write_back` takes them to the device again. The diff of a parameter that is frozen is
    an array that nobody reads.
    """

    def __init__(
        self, name: str, shape: Shape, dtype: Any, blob: Blob | None = None, locked: str = ""
    ) -> None:
        self.name, self.dtype, self.locked = name, dtype, locked
        self._shape, self._blob = tuple(shape), blob
        self._arrays: dict[str, np.ndarray] = {}

    @property
    def data(self) -> np.ndarray:
        return self._array("data")

    @property
    def diff(self) -> np.ndarray:
        return self._array("diff")

    @property
    def shape(self) -> Shape:
        return self._shape

    def reshape(self, *dims: Any) -> None:
        """Take another shape; what the arrays held is gone."""
        if len(dims) == 1 and isinstance(dims[0], tuple | list):
            dims = tuple(dims[0])
        shape = tuple(int(size) for size in dims)
        if shape == self._shape:
            return
        if self.locked or min(shape, default=0) < 0:
            why = self.locked or "no size can be negative"
            raise LayerConfigError(f"gives '{self.name}' {self._shape} the shape {shape}: {why}")
        self._shape, self._blob = shape, None
        self._arrays.clear()

    def stand_for(self, blob: Blob) -> None:
        """Show this blob's values from now on."""
        self._blob, self._shape = blob, blob.shape
        self._arrays.clear()

    def hand_over(self, blob: Blob) -> None:
        """Stand for this blob, to which the next `write_back` brings what was shown so far."""
        self._blob = blob

    def write_back(self, *kinds: str) -> None:
        """Send what is in arrays of its own, of "data" and "diff", to the blob."""
        if self._blob is not None:
            for kind in kinds:
                if kind in self._arrays and not self._is_idle(kind):
                    self._blob.device.write(getattr(self._blob, kind), self._arrays[kind])
        self._arrays.clear()

    def _array(self, kind: str) -> np.ndarray:
        blob = None if self._is_idle(kind) else self._blob
        if blob is not None and blob.device.kind == "cpu":
            live: np.ndarray = getattr(blob, kind)
            return live
        if kind not in self._arrays:
            if blob is None:
                self._arrays[kind] = np.zeros(self._shape, self.dtype)
            else:
                self._arrays[kind] = np.array(blob.device.to_host(getattr(blob, kind)))
        return self._arrays[kind]

    def _is_idle(self, kind: str) -> bool:
        # A gradient that nobody asked for: what the class writes there goes nowhere.
        return kind == "diff" and isinstance(self._blob, Param) and not self._blob.wanted

    def _axis(self, index: int) -> int:
        return self._shape[index] if index < len(self._shape) else 1

    num = property(lambda self: self._axis(0))
    channels = property(lambda self: self._axis(1))
    height = property(lambda self: self._axis(2))
    width = property(lambda self: self._axis(3))
    count = property(lambda self: math.prod(self._shape))


class Blobs(list[HostBlob]):
    """The parameters of a layer written in Python: a list to which its setup adds."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self._dtype, self.closed = dtype, False

    def add_blob(self, *dims: Any) -> None:
        """Add a parameter of zeros."""
        if self.closed:
            raise LayerConfigError("adds a parameter after setup, when the net is built")
        blob = HostBlob(f"blobs[{len(self)}]", (), self._dtype)
        blob.reshape(*dims)
        blob.locked = "parameters keep their shapes"
        self.append(blob)


def find_class(module: str, name: str) -> Any:
    """Return the class `name` of a module that is on Python's path or in the current folder.

    Errors: whatever the module raises; AttributeError with the names there are.
    """
    folder = os.getcwd()
    added = folder not in sys.path
    if added:
        sys.path.append(folder)  # last, so that its modules hide no others
    try:
        with standing_in():
            found = importlib.import_module(module)
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)
    return getattr(found, name)


@contextmanager
def standing_in() -> Iterator[None]:
    """While this lasts, `import caffe` gives pycaffe's names as minidl has them."""
    mine = importlib.import_module("minidl.pycaffe").modules()
    before = {name: sys.modules.get(name) for name in mine}  # a real pycaffe, maybe
    sys.modules.update(mine)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def describe(error: BaseException) -> str:
    """Describe an error: 'ValueError: no such shape (mylayers.py, line 12)'."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = list(traceback.extract_tb(error.__traceback__))
    frames = [frame for frame in frames if "_sitebuiltins" not in frame.filename]  # exit() itself
    if not frames:
        return said
    return f"{said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
