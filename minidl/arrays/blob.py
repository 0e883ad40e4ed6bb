"""Blob: a named array and its gradient; Param: a blob that a solver learns."""

from __future__ import annotations

import math
import operator
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.memory import Home, Layout, Memory, Shape
from minidl.errors import UsageError


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
        self._data: Any = None  # arrays that a layer was given to work on: see `use`
        self._diff: Any = None
        self._homes: dict[str, Home] = {}  # "data", "diff": where the values of all others are
        self._of: dict[str, Blob] = {}  # "data", "diff": whose values these are, in another shape

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def data(self) -> Any:
        if self._data is not None:
            return self._data
        if "data" in self._of:
            return self._of["data"].data.reshape(self._shape)
        return self.home("data").lend().reshape(self._shape)

    @data.setter
    def data(self, values: Any) -> None:
        self._set("data", values)

    @property
    def diff(self) -> Any:
        if self._diff is not None:
            return self._diff
        if "diff" in self._of:
            return self._of["diff"].diff.reshape(self._shape)
        return self.home("diff").lend().reshape(self._shape)

    @diff.setter
    def diff(self, values: Any) -> None:
        self._set("diff", values)

    def _set(self, kind: str, values: Any) -> None:
        if getattr(values, "shape", None) != self._shape:
            raise UsageError(
                f"blob '{self.name}' was assigned {_described(values)}",
                expected=f"an array of its shape {self._shape}",
                fix="reshape() it first; net.forward(name=array) does both for an input",
            )
        array = self._given(kind)
        if array is not None:
            self.device.write(array, values)
        else:
            self.home(kind).assign(values)

    def read(self, kind: str = "data") -> Any:
        """A plain array of the values as they are now, for reading only: perhaps a copy."""
        array = self._given(kind)
        return array if array is not None else self.home(kind).values().reshape(self._shape)

    def _given(self, kind: str) -> Any:
        """The array that it was given to work on, or that the blob it is a view of was."""
        if kind in self._of:
            of = self._of[kind]._given(kind)
            return of if of is None else of.reshape(self._shape)
        return self._data if kind == "data" else self._diff

    # ------------------------------------------------------------------ where the values are

    def home(self, kind: str) -> Home:
        """Where "data" or "diff" lives; that of the blob which this one is a view of."""
        if kind in self._of:
            return self._of[kind].home(kind)
        home = self._homes.get(kind)
        if home is None:
            home = self._homes[kind] = Home(self._shape, self.dtype, device=self.device)
        return home

    def use(self, data: Any, diff: Any = None) -> None:
        """Work on these arrays themselves, of its shape; None: it has no such array."""
        if data is not None:
            self._shape = tuple(data.shape)
        self._data, self._diff = data, diff

    def is_view(self, kind: str) -> bool:
        """Whether "data" or "diff" is another blob's."""
        return kind in self._of

    def share(self, other: Blob, shape: Shape | None = None, diff: bool = True) -> None:
        """Become a view of `other`'s memory: same data and, if `diff`, same gradient."""
        self._shape = tuple(shape if shape is not None else other.shape)
        kinds = ("data", "diff") if diff else ("data",)
        self._of = dict.fromkeys(kinds, other)
        for kind in kinds:
            self._homes.pop(kind, None)
        if "diff" in self._homes and self._homes["diff"].shape != self._shape:
            self._resize("diff", self._shape)

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
        for kind in [*self._homes]:
            self._resize(kind, shape)
        if self._data is not None:
            same = math.prod(shape) == math.prod(self._shape)
            self._data = self._data.reshape(shape) if same else None
            self._diff = self._diff.reshape(shape) if same and self._diff is not None else None
        self._shape = shape

    def _resize(self, kind: str, shape: Shape) -> None:
        home = self._homes[kind]
        if math.prod(shape) == math.prod(home.shape):
            home.reshape(shape)
        else:
            del self._homes[kind]

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
        self._set("data", values)

    @property
    def diff(self) -> Any:
        return self._gradient.lend().reshape(self._shape)

    @diff.setter
    def diff(self, values: Any) -> None:
        self._gradient.assign(values)

    def home(self, kind: str = "data") -> Home:
        """Where the values or the gradient live."""
        return self._values if kind == "data" else self._gradient

    def write(self, values: Any) -> None:
        """Overwrite the values."""
        self._values.assign(values)

    def clear(self) -> None:
        """Set the gradient to zero."""
        self._gradient.clear()

    # ------------------------------------------------------------------ for nets and solvers

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
        self._values.wrote(0)
        self._values.give()

    def flat(self) -> tuple[Any, Any]:
        """Values and gradient as one-dimensional arrays, padding included, for an update."""
        self._gradient.fill()
        return tuple(m.array.reshape(-1).view(self.dtype) for m in (self.memory, self.gradient))

    @property
    def pending(self) -> bool:
        """Whether somebody may have an array of values or gradient that is not their memory."""
        return self._values.pending or self._gradient.pending

    def settle(self) -> None:
        """Have what users may have written to values and gradient in the memories of both."""
        self._values.settle()
        self._gradient.settle()

    def give(self, learnt: bool = False) -> None:
        """Bring arrays that somebody holds up to date; `learnt`: the gradient has been added to."""
        if learnt and self._gradient.places:
            self._gradient.wrote(0)
        self._values.give()
        self._gradient.give()

    def arrange(self, layout: Layout | None) -> None:
        """Live in this layout, values and gradient."""
        self._values.arrange(layout)
        if self._gradient.made:
            self._gradient.arrange(layout)

    def use(self, data: Any, diff: Any = None) -> None:
        """Take `data` itself as the values; a copy of it if it is not in C order."""
        values = self.device.xp.ascontiguousarray(data)
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
