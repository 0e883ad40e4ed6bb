"""Blob: a named array and its gradient; Param: a blob that a solver learns."""

from __future__ import annotations

import math
import operator
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.home import Home
from minidl.arrays.memory import Layout, Shape
from minidl.errors import UsageError


class Blob:
    """An N-dimensional array `data` and, once someone asks for it, its gradient `diff`.

    name    the top's name in the prototxt ("conv1")
    shape   (N, C, H, W) for images; () for a scalar such as a loss
    device  where both are
    dtype   np.float32 or np.float64
    values, gradient   the homes of the two: where they are in memory, and who sees them

    Both are arrays of the device (NumPy's, or CuPy's on a GPU) in C order, made (zeroed) when first
    read, so a net that never runs backward never pays for gradients. Assigning to `data` takes an
    array of the host, too, and copies it to the device.

    Where a net keeps the values in the layout of an engine, reading makes a plain array of them,
    which is live like any other: what the net computes appears in it for as long as it is held, and
    what is written to it reaches the net's next pass.

    A view of another blob is a blob with its homes, seen in a shape of its own.

    `num`, `channels`, `height`, `width` are pycaffe's names for the first four axes.
    """

    __slots__ = ("_shape", "device", "dtype", "gradient", "name", "values")

    def __init__(self, name: str, shape: Shape, device: Device, dtype: Any) -> None:
        self.name, self.device, self.dtype = name, device, dtype
        self._shape: Shape = tuple(shape)
        self.values = Home(shape, dtype, device)
        self.gradient = Home(shape, dtype, device)

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def data(self) -> Any:
        array = self.values.lend()
        return array if array.shape == self._shape else array.reshape(self._shape)

    @data.setter
    def data(self, values: Any) -> None:
        self._set(self.values, values)

    @property
    def diff(self) -> Any:
        array = self.gradient.lend()
        return array if array.shape == self._shape else array.reshape(self._shape)

    @diff.setter
    def diff(self, values: Any) -> None:
        self._set(self.gradient, values)

    def _set(self, home: Home, values: Any) -> None:
        if getattr(values, "shape", None) != self._shape:
            raise UsageError(
                f"blob '{self.name}' was assigned {_described(values)}",
                expected=f"an array of its shape {self._shape}",
                fix="reshape() it first; net.forward(name=array) does both for an input",
            )
        home.write(values)

    def home(self, kind: str) -> Home:
        """Return the home of "data" or "diff"."""
        return self.values if kind == "data" else self.gradient

    def read(self, kind: str = "data") -> Any:
        """Return a plain array of the values as they are now, for reading only: perhaps a copy."""
        return self.home(kind).read().reshape(self._shape)

    def use(self, data: Any, diff: Any = None) -> None:
        """Work on these arrays themselves, as a layer does; None: there is no such array."""
        if data is not None:
            self._shape = tuple(data.shape)
        self.values = Home(self._shape, self.dtype, self.device, given=data)
        self.gradient = Home(self._shape, self.dtype, self.device, given=diff)

    def share(self, other: Blob, shape: Shape | None = None, diff: bool = True) -> None:
        """Become a view of `other`: of its values and, if `diff`, of its gradient."""
        self._shape = tuple(shape if shape is not None else other.shape)
        self.values = other.values
        if diff:
            self.gradient = other.gradient
        elif math.prod(self.gradient.shape) != self.count:
            self.gradient = Home(self._shape, self.dtype, self.device)

    def reshape(self, *dims: Any) -> None:
        """Change the shape; contents are kept only where the number of elements stays the same."""
        if len(dims) == 1 and isinstance(dims[0], tuple | list):
            dims = tuple(dims[0])
        try:
            shape = tuple(operator.index(d) for d in dims)
        except TypeError:
            raise UsageError(f"blob '{self.name}': {dims} is not a valid shape") from None
        if min(shape, default=0) < 0:
            raise UsageError(f"blob '{self.name}': {shape} has a negative size")
        if math.prod(shape) != self.count:
            self.values = Home(shape, self.dtype, self.device)
            self.gradient = Home(shape, self.dtype, self.device)
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
    borrowed              the values are another net's, which decides where they live

    The values live in the layout that the plan of its layer chose, the gradient always in the
    same one, so that an update can go over the memory of both, element by element; what an engine
    pads with is zero in both. While `gradient.fresh`, the gradient counts as zero, no matter what
    its memory holds.
    """

    __slots__ = ("borrowed", "decay_mult", "lr_mult", "wanted")

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
        self.borrowed = False
        self.gradient.like = self.values

    def arrange(self, layout: Layout | None) -> None:
        """Live in this layout, values and gradient."""
        self.values.arrange(layout)
        if self.gradient.made:
            self.gradient.arrange(layout)

    def share(self, other: Blob, shape: Shape | None = None, diff: bool = True) -> None:
        """Be the same parameter as `other`, values and, if `diff`, gradient, in another shape."""
        self._shape = tuple(shape if shape is not None else other.shape)
        self.values, self.gradient = other.values, other.gradient
        if not diff:
            shape = self.values.shape
            self.gradient = Home(shape, self.dtype, self.device, like=self.values)
        Home.changes += 1

    def reshape(self, *dims: Any) -> None:
        raise UsageError(f"parameter '{self.name}' cannot change its shape {self._shape}")
