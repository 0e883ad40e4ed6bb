"""Blob: a named array and its gradient; Param: a blob that a solver learns."""

from __future__ import annotations

import math
import operator
from typing import Any

from minidl.device import Device
from minidl.errors import UsageError
from minidl.memory import Home, Layout, Memory, Shape


class Blob:
    """An N-dimensional array `data` and, once someone asks for it, its gradient `diff`.

    name    the top's name in the prototxt ("conv1")
    shape   (N, C, H, W) for images; () for a scalar such as a loss
    device  where both are
    dtype   np.float32 or np.float64

    Both are arrays of the device (NumPy's, or CuPy's on a GPU) in C order, made (zeroed) when first
    read, so a net that never runs backward never pays for gradients. Assigning to `data` takes an
    array of the host, too, and copies it to the device.

    Where a net keeps the values in the layout of an engine, reading makes a plain array of them,
    which is live like any other: what the net computes appears in it for as long as it is held, and
    what is written to it reaches the net's next pass.

    `num`, `channels`, `height`, `width` are pycaffe's names for the first four axes.
    """

    __slots__ = ("_data", "_diff", "_homes", "_of", "_shape", "device", "dtype", "name")

    def __init__(self, name: str, shape: Shape, device: Device, dtype: Any) -> None:
        self.name, self.device, self.dtype = name, device, dtype
        self._shape: Shape = tuple(shape)
        self._data: Any = None
        self._diff: Any = None
        self._homes: dict[str, Home] = {}  # "data", "diff": where values live if not in an array
        self._of: dict[str, Blob] = {}  # "data", "diff": whose array this is a view of

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def data(self) -> Any:
        if self._data is not None:
            return self._data
        return self._find("data")

    @data.setter
    def data(self, values: Any) -> None:
        if getattr(values, "shape", None) != self._shape:
            raise UsageError(
                f"blob '{self.name}' was assigned {_described(values)}",
                expected=f"an array of its shape {self._shape}",
                fix="reshape() it first; net.forward(name=array) does both for an input",
            )
        self.device.write(self.data, values)

    @property
    def diff(self) -> Any:
        if self._diff is not None:
            return self._diff
        return self._find("diff")

    @diff.setter
    def diff(self, array: Any) -> None:
        self.keep("diff", array)

    def _find(self, kind: str) -> Any:
        if kind in self._homes:
            return self._homes[kind].lend()
        if kind in self._of:
            of = self._of[kind]
            return (of.data if kind == "data" else of.diff).reshape(self._shape)
        array = self.device.zeros(self._shape, self.dtype)
        self.keep(kind, array)
        return array

    def read(self, kind: str = "data") -> Any:
        """A plain array of the values as they are now, for reading only: perhaps a copy."""
        if kind in self._homes:
            return self._homes[kind].values()
        return self.data if kind == "data" else self.diff

    # ------------------------------------------------------------------ where the values are

    def array(self, kind: str) -> Any:
        """The plain array that holds "data" or "diff", None while there is none."""
        return self._data if kind == "data" else self._diff

    def use(self, array: Any) -> None:
        """Take `array` itself as data instead of memory of its own."""
        self._shape = tuple(array.shape)
        self.keep("data", array)

    def keep(self, kind: str, array: Any) -> None:
        """Have "data" or "diff" in this plain array from now on; None: in a new one."""
        self._homes.pop(kind, None)
        if kind == "data":
            self._data = array
        else:
            self._diff = array

    def live_in(self, kind: str, home: Home) -> None:
        """Read "data" or "diff" from a Home from now on."""
        self.keep(kind, None)
        self._homes[kind] = home

    def is_view(self, kind: str) -> bool:
        """Whether "data" or "diff" is another blob's."""
        return kind in self._of

    def share(self, other: Blob, shape: Shape | None = None, diff: bool = True) -> None:
        """Become a view of `other`'s memory: same data and, if `diff`, same gradient."""
        self._shape = tuple(shape if shape is not None else other.shape)
        self._data = self._diff = None
        self._homes.clear()
        self._of = {"data": other, "diff": other} if diff else {"data": other}

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
        same = math.prod(shape) == math.prod(self._shape)
        for kind in ("data", "diff"):
            array = self.array(kind) if same else None
            self.keep(kind, array if array is None else array.reshape(shape))
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
    fresh                 the gradient counts as zero, whatever its memory holds: who adds to it
                          first may overwrite it, and has to set `fresh` to False

    The values live in the layout that the plan of its layer chose, the gradient always in the
    same one, so that an update can go over the memory of both, element by element; what an engine
    pads with is zero in both.
    """

    __slots__ = ("_gradient", "_values", "borrowed", "decay_mult", "lr_mult", "wanted")

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
        self._values = Home(shape, dtype, device=device)
        self._gradient = Home(shape, dtype, like=self._values, device=device)

    # ------------------------------------------------------------------ for users

    @property
    def data(self) -> Any:
        return self._values.lend().reshape(self._shape)

    @data.setter
    def data(self, values: Any) -> None:
        Blob.data.__set__(self, values)  # type: ignore[attr-defined]

    @property
    def diff(self) -> Any:
        return self._gradient.lend().reshape(self._shape)

    @diff.setter
    def diff(self, array: Any) -> None:
        self._gradient.assign(array)

    def read(self, kind: str = "data") -> Any:
        home = self._values if kind == "data" else self._gradient
        return home.values().reshape(self._shape)

    def write(self, values: Any) -> None:
        """Overwrite the values."""
        self._values.assign(values)

    # ------------------------------------------------------------------ for nets and solvers

    @property
    def home(self) -> Home:
        """Where the values live."""
        return self._values

    @property
    def memory(self) -> Memory:
        """The memory of the values."""
        return self._values.memory

    @property
    def gradient(self) -> Memory:
        """The memory of the gradient, in the same layout; garbage while `fresh`."""
        return self._gradient.memory

    @property
    def fresh(self) -> bool:
        return self._gradient.fresh

    @fresh.setter
    def fresh(self, zero: bool) -> None:
        self._gradient.fresh = zero

    @property
    def version(self) -> int:
        """Another number whenever the values may have changed."""
        if self._values.held:  # by somebody who may write at any time
            self._values.version += 1
        return self._values.version

    def touch(self) -> None:
        """To be called by whoever changed the values in `memory`."""
        self._values.version += 1

    @property
    def held(self) -> bool:
        """Whether somebody has an array of values or gradient, so that both have to be plain."""
        return self._values.held or self._gradient.held

    def flat(self) -> tuple[Any, Any]:
        """Values and gradient as one-dimensional arrays, padding included, for an update."""
        self._gradient.fill()
        return tuple(m.array.reshape(-1).view(self.dtype) for m in (self.memory, self.gradient))

    def settle(self) -> None:
        """Take back what was lent; if somebody still holds an array, both are plain from now on."""
        self._values.settle()
        self._gradient.settle()
        if self._gradient.made and self.memory.layout != self.gradient.layout:
            self.arrange(None)

    def arrange(self, layout: Layout | None) -> None:
        """Live in this layout, values and gradient."""
        self._values.arrange(layout)
        if self._gradient.made:
            self._gradient.arrange(layout)

    def array(self, kind: str) -> Any:
        home = self._values if kind == "data" else self._gradient
        return home.memory.array if home.made else None

    def use(self, array: Any) -> None:
        """Take `array` itself as the values; a copy of it if it is not in C order."""
        values = self.device.xp.ascontiguousarray(array)
        self._values.move(Memory(self._values.shape, None, values, self.device))

    def move(self, values: Memory, gradient: Memory) -> None:
        """Live in this memory from now on, whatever it holds."""
        self._values.move(values)
        self._gradient.move(gradient)

    def share(self, other: Blob, shape: Shape | None = None, diff: bool = True) -> None:
        """Be the same parameter as `other`, values and, if `diff`, gradient, in another shape."""
        assert isinstance(other, Param)
        self._shape = tuple(shape if shape is not None else other.shape)
        self._values = other._values
        self._gradient = other._gradient
        if not diff:
            own = Home(self._values.shape, self.dtype, like=self._values, device=self.device)
            self._gradient = own

    def reshape(self, *dims: Any) -> None:
        raise UsageError(f"parameter '{self.name}' cannot change its shape {self._shape}")
