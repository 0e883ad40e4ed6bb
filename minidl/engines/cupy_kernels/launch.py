"""Kernels ready to be launched: compiled once for a device, their arguments checked once."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minidl.engines.cupy_kernels.source import Parameter, Signature, signatures, source

BLOCK = 256  # threads; a multiple of the 32 of a warp
WARP = 32
BLOCKS_EACH = 32  # at most, for each multiprocessor: enough to keep it busy to the end
LARGEST_INT = 2**31 - 1
NO_ADDRESS = 4096  # no memory starts below it: what is smaller was meant as a number

# What is known of each device: compiled sources and kernels, and the number of multiprocessors,
# which takes CUDA longer to say than a launch.
_known: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


class Kernel:
    """One kernel of one source on a device.

    Calling it with `count` and the other arguments launches it on the current stream; `bind`
    prepares that. Both have to happen with the device current. Arguments are addresses for
    pointers and numbers for numbers; what does not fit the kernel's signature is a TypeError, as a
    GPU would read the bytes of anything.
    """

    def __init__(self, device: Any, unit: str, name: str, defines: dict[str, object]) -> None:
        self.device, self.unit, self.name, self.defines = device, unit, name, defines
        self.signature = signatures(unit)[name]

    def __call__(self, count: int, *arguments: Any) -> None:
        self.bind(count, *arguments)()

    def bind(self, count: int, *arguments: Any) -> Launch:
        """Return what launches it over `count` elements with these arguments."""
        threads = count * WARP if self.signature.rows else count
        most = _multiprocessors(self.device) * BLOCKS_EACH
        # Grid-stride loops: a grid larger than the GPU can hold at once gains nothing.
        grid, block = (min(-(-threads // BLOCK), most),), (BLOCK,)
        wide = threads > LARGEST_INT - most * BLOCK  # where the loop's variable would overflow
        given = self._converted((count, *arguments), wide)
        function = self._function(wide) if count else _nothing
        return Launch(function, grid, block, given, self.signature)

    def _function(self, wide: bool) -> Callable:
        defines = {"WIDE": 1, **self.defines} if wide else self.defines
        cache = _known.setdefault(self.device, {})
        key = (self.unit, *sorted(defines.items()))
        if key not in cache:
            cache[key] = self.device.xp.RawModule(code=source(self.unit, defines)).get_function
        name = (*key, self.name)
        if name not in cache:
            cache[name] = cache[key](self.name)
        return cache[name]

    def _converted(self, arguments: tuple[Any, ...], wide: bool) -> tuple[Any, ...]:
        parameters = self.signature.parameters
        if len(arguments) != len(parameters):
            names = ", ".join(p.name for p in parameters)
            raise TypeError(f"{self} takes {len(parameters)} arguments ({names}), not {arguments}")
        pairs = zip(parameters, arguments, strict=True)
        return tuple(self._argument(parameter, value, wide) for parameter, value in pairs)

    def _argument(self, parameter: Parameter, value: Any, wide: bool) -> Any:
        try:
            return as_type(parameter.type, value, wide)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{self}: {parameter.name}, {error}") from None

    def __str__(self) -> str:
        return f"{self.unit}.cu: {self.name}"


class Launch:
    """A kernel with its arguments; calling it launches, on the current stream."""

    __slots__ = ("_arguments", "_block", "_function", "_grid", "_signature")

    def __init__(
        self,
        function: Callable[..., None],
        grid: tuple[int],
        block: tuple[int],
        arguments: tuple[Any, ...],
        signature: Signature,
    ) -> None:
        self._function, self._grid, self._block = function, grid, block
        self._arguments, self._signature = arguments, signature

    def __call__(self) -> None:
        self._function(self._grid, self._block, self._arguments)

    def change(self, **values: Any) -> None:
        """Launch with other values of these parameters (not `count`) from now on: a few of them
        are changed in far less time than all are bound."""
        arguments = list(self._arguments)
        for place, (kind, name) in enumerate(self._signature.parameters):
            if name in values:
                arguments[place] = as_type(kind, values.pop(name))
        assert not values, f"it has no parameters {list(values)}"
        self._arguments = tuple(arguments)


def kernel(device: Any, unit: str, name: str, **defines: object) -> Kernel:
    """Return the kernel `name` of `unit`.cu, compiled when first bound, with these #defines."""
    return Kernel(device, unit, name, defines)


def as_type(kind: str, value: Any, wide: bool = False) -> Any:
    """Return a value as the scalar that a parameter of this type (`source.TYPES`) takes.

    >>> as_type("int", 3), as_type("float", 0.5)
    (np.int32(3), np.float32(0.5))
    """
    if kind == "float":
        if not isinstance(value, float | np.floating):
            raise TypeError(f"a float, was given {value!r}")
        return np.float32(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{'an address' if kind == '*' else 'an integer'}, was given {value!r}")
    number = int(value)
    if kind == "*":
        if number and number < NO_ADDRESS:
            raise ValueError(f"an address, was given {number}")
        return np.uint64(number)
    if kind == "long long" or (kind == "Index" and wide):
        return np.int64(number)
    if not -LARGEST_INT <= number <= LARGEST_INT:
        raise ValueError(f"an integer of 32 bits, was given {number}")
    return np.int32(number)


def _multiprocessors(device: Any) -> int:
    cache = _known.setdefault(device, {})
    if "multiprocessors" not in cache:
        properties = device.xp.cuda.runtime.getDeviceProperties(device.index)
        cache["multiprocessors"] = int(properties["multiProcessorCount"])
    return cache["multiprocessors"]


def _nothing(grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
    """Stand in for a launch over no elements, which CUDA refuses."""
