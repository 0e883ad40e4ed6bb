"""Blob: a named array and its gradient; Param: a blob that a solver learns."""

from __future__ import annotations

import math
import operator
from typing import Any

from minidl.device import Device
from minidl.errors import UsageError

Shape = tuple[int, ...]


class Blob:
    """An N-dimensional array `data` and, once someone asks for it, its gradient `diff`.

    name    the top's name in the prototxt ("conv1")
    shape   (N, C, H, W) for images; () for a scalar such as a loss
    dtype   np.float32 or np.float64

    `diff` is made (zeroed) when first read, so a net that never runs backward never pays for it.
    `num`, `channels`, `height`, `width` are pycaffe's names for the first four axes.
    """

    __slots__ = ("_data", "_diff", "_diff_of", "_shape", "device", "dtype", "name")

    def __init__(self, name: str, shape: Shape, device: Device, dtype: Any) -> None:
        self.name, self.device, self.dtype = name, device, dtype
        self._shape: Shape = tuple(shape)
        self._data: Any = None
        self._diff: Any = None
        self._diff_of: Blob | None = None

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def data(self) -> Any:
        if self._data is None:
            self._data = self.device.zeros(self._shape, self.dtype)
        return self._data

    @data.setter
    def data(self, values: Any) -> None:
        if getattr(values, "shape", None) != self._shape:
            raise UsageError(
                f"blob '{self.name}' was assigned {_described(values)}",
                expected=f"an array of its shape {self._shape}",
                fix="reshape() it first; net.forward(name=array) does both for an input",
            )
        self.data[...] = values

    def use(self, array: Any) -> None:
        """Take `array` itself as data instead of memory of its own."""
        self._data, self._shape = array, tuple(array.shape)

    @property
    def diff(self) -> Any:
        if self._diff is None:
            if self._diff_of is not None:
                self._diff = self._diff_of.diff.reshape(self._shape)
            else:
                self._diff = self.device.zeros(self._shape, self.dtype)
        return self._diff

    @diff.setter
    def diff(self, array: Any) -> None:
        self._diff = array

    def share(self, other: Blob, shape: Shape | None = None, diff: bool = True) -> None:
        """Become a view of `other`'s memory: same data and, if `diff`, same gradient."""
        self._shape = tuple(shape if shape is not None else other.shape)
        self._data = other.data.reshape(self._shape)
        self._diff, self._diff_of = None, other if diff else None

    def reshape(self, *dims: Any) -> None:
        """Change the shape; contents are kept only where the number of elements stays the same."""
        if len(dims) == 1 and isinstance(dims[0], tuple | list):
            dims = tuple(dims[0])
        try:
            shape = tuple(operator.index(d) for d in dims)
        except TypeError:
            raise UsageError(f"blob '{self.name}': {dims} is no shape") from None
        if min(shape, default=0) < 0:
            raise UsageError(f"blob '{self.name}': {shape} has a negative size")
        if shape == self._shape:
            return
        same = self._data is not None and math.prod(shape) == math.prod(self._shape)
        self._data = self._data.reshape(shape) if same else None
        self._diff = self._diff.reshape(shape) if same and self._diff is not None else None
        self._shape = shape

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self._shape)

    def _axis(self, index: int) -> int:
        return self._shape[index] if index < len(self._shape) else 1

    num = property(lambda self: self._axis(0))
    channels = property(lambda self: self._axis(1))
    height = property(lambda self: self._axis(2))
    width = property(lambda self: self._axis(3))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, shape={self._shape})"


def _described(values: Any) -> str:
    shape = getattr(values, "shape", None)
    return repr(values) if shape is None else f"an array of shape {tuple(shape)}"


class Param(Blob):
    """A blob that layers add gradients to and a solver updates.

    lr_mult, decay_mult   factors on the solver's rate and weight decay (0 freezes the parameter)
    wanted                whether backward has to add to `diff` (False for a frozen parameter)
    """

    __slots__ = ("decay_mult", "lr_mult", "wanted")

    def __init__(
        self,
        name: str,
        shape: Shape,
        device: Device,
        dtype: Any,
        lr_mult: float = 1.0,
        decay_mult: float = 1.0,
    ) -> None:
        super().__init__(name, shape, device, dtype)
        self.lr_mult, self.decay_mult = lr_mult, decay_mult
        self.wanted = lr_mult != 0
