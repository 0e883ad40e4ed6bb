"""Layouts: how oneDNN arranges an array, around its memory descriptors, and the ways between them.

A descriptor may cut the axes differently from the array's shape: filters in groups are
(group, M / group, C / group, *kernel) to the library and (M, C / group, *kernel) to us. The
elements' order in C is the same, so only the library need know.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays.memory import CPU, Layout, Memory, Shape
from minidl.engines.onednn import api, library
from minidl.engines.onednn.library import Handle, dnnl
from minidl.engines.onednn.primitive import Description, Step, favourite, sequence
from minidl.engines.plan import Run
from minidl.errors import RunError

AXES = {0: "", 1: "x", 2: "nc", 3: "ncw", 4: "nchw", 5: "ncdhw"}  # names where nobody says others


class DnnlLayout:
    """One arrangement of one array; implements `minidl.arrays.memory.Layout`.

    shape   the array's
    dims    the library's idea of it: as many elements in the same order
    dtype   api.F32 or api.BF16
    nbytes  with padding
    """

    def __init__(self, desc: Handle, shape: Shape, axes: str = "") -> None:
        self._desc = desc
        self._as_parameter_ = desc._as_parameter_  # so that calls take it as a descriptor
        self._shape, self.axes = tuple(shape), axes
        count = self._int(api.QUERY_NDIMS)
        self.dims: Shape = tuple(self._ints(api.QUERY_DIMS, count))
        self.dtype = self._int(api.QUERY_TYPE)
        self._nbytes: int = dnnl().ask("memory_desc_get_size", desc)
        assert math.prod(self.dims) == math.prod(self._shape), (self.dims, self._shape)

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def __hash__(self) -> int:
        return hash((self._shape, self.dtype, self._nbytes))

    def __eq__(self, other: object) -> bool:
        """To the library, NCHW and NHWC are one where there is only one channel."""
        if self is other:
            return True
        alike = isinstance(other, DnnlLayout) and self._shape == other._shape
        return alike and bool(dnnl().ask("memory_desc_equal", self, other))

    def __str__(self) -> str:
        """'nchw', 'nChw16c' (channels in blocks of 16), 'nhwc bf16'."""
        count = len(self.dims)
        names = self.axes or AXES.get(count, "abcdefghijkl"[:count])
        strides = self._ints(api.QUERY_STRIDES, count)
        blocks = self._int(api.QUERY_INNER_COUNT)
        sizes = self._ints(api.QUERY_INNER_BLOCKS, blocks)
        inner = self._ints(api.QUERY_INNER_AXES, blocks)
        # Outer axes by falling stride spell the order of memory; one that is also blocked inside is
        # written in capitals, with the block behind: nChw16c.
        order = sorted(range(count), key=lambda axis: (-strides[axis], axis))
        outer = "".join(names[a].upper() if a in inner else names[a] for a in order)
        blocked = "".join(f"{size}{names[a]}" for size, a in zip(sizes, inner, strict=True))
        suffix = "" if self.dtype == api.F32 else f" {api.TYPE_NAMES[self.dtype]}"
        return outer + blocked + suffix

    def __repr__(self) -> str:
        return f"DnnlLayout({self}, {self._shape})"

    def pack(self, plain: np.ndarray, packed: np.ndarray) -> None:
        """Arrange a C-ordered array in the bytes `packed`."""
        source = np.ascontiguousarray(plain, np.float32)
        _copy(_plain_like(self), source.ctypes.data, self, packed.ctypes.data)

    def unpack(self, packed: np.ndarray, plain: np.ndarray) -> None:
        """Arrange these bytes in C order."""
        direct = plain.dtype == np.float32 and plain.flags.c_contiguous
        target = plain if direct else np.empty(self._shape, np.float32)
        _copy(self, packed.ctypes.data, _plain_like(self), target.ctypes.data)
        if not direct:
            plain[...] = target

    def _ints(self, what: int, count: int) -> list[int]:
        values = ctypes.POINTER(ctypes.c_int64)()
        dnnl().call("memory_desc_query", self._desc, what, ctypes.byref(values))
        return values[:count]

    def _int(self, what: int) -> int:
        value = ctypes.c_int()
        dnnl().call("memory_desc_query", self._desc, what, ctypes.byref(value))
        return value.value


# ------------------------------------------------------------------ makers


def anything(dims: Shape, dtype: int = api.F32) -> Handle:
    """Return the descriptor that leaves the arrangement to the library."""
    args = len(dims), api.dims(dims), dtype, api.FORMAT_ANY
    return dnnl().make("memory_desc", "memory_desc_create_with_tag", *args)


def strided(dims: Shape, strides: Sequence[int], shape: Shape, dtype: int = api.F32) -> DnnlLayout:
    """Return an arrangement by strides, counted in elements."""
    args = len(dims), api.dims(dims), dtype, api.dims(strides)
    return DnnlLayout(dnnl().make("memory_desc", "memory_desc_create_with_strides", *args), shape)


def plain(dims: Shape, dtype: int = api.F32, shape: Shape | None = None) -> DnnlLayout:
    """Return C order."""
    return strided(dims, _strides(dims, range(len(dims))), shape or dims, dtype)


def channels_last(dims: Shape, dtype: int = api.F32, shape: Shape | None = None) -> DnnlLayout:
    """Arrange (N, C, *size) in the order N, *size, C."""
    order = [0, *range(2, len(dims)), 1]
    return strided(dims, _strides(dims, order), shape or dims, dtype)


def wanted(description: Description, argument: int, shape: Shape, axes: str = "") -> DnnlLayout:
    """Return the layout in which an operation reads or writes an argument of this shape."""
    desc = description.desc(argument)
    assert desc is not None, f"{description} has no argument {argument}"
    return DnnlLayout(desc, shape, axes)


def of_argument(description: Description, argument: int, shape: Shape) -> DnnlLayout | None:
    """Return the same as a plan states it: None where it is plain."""
    return plain_or(wanted(description, argument, shape))


def plain_or(layout: DnnlLayout) -> DnnlLayout | None:
    """Return None for float32 in C order, which outside this engine is no layout at all."""
    return None if layout == _plain_like(layout) else layout


def arriving(layout: Layout | None, dims: Shape, shape: Shape | None = None) -> DnnlLayout:
    """Return the descriptor of an array that is said to be in `layout` (None: plain)."""
    if layout is None:
        return plain(dims, shape=shape)
    assert isinstance(layout, DnnlLayout) and layout.dims == tuple(dims), (layout, dims)
    return layout


# ------------------------------------------------------------------ from one to another


def converter(source: Memory, target: Memory) -> Run:
    """Return a run that copies `source` to `target`, converting arrangement and number type.

    Both have one shape, and live as long as what is returned.
    """
    if source.shape != target.shape:
        raise RunError(f"a conversion from shape {source.shape} to {target.shape} was asked for")
    start, end = _of(source, target), _of(target, source)
    if start.dims == end.dims:
        return sequence([_step(start, source.address, end, target.address, (source, target))])
    # Their axes are cut differently: only the plain array in between is both.
    plainly = np.empty(source.shape, np.float32)
    keep = source, plainly, target
    there = _step(start, source.address, _plain_like(start), plainly.ctypes.data, keep)
    on = _step(_plain_like(end), plainly.ctypes.data, end, target.address, keep)
    return sequence([there, on])


def reorder(source: DnnlLayout, target: DnnlLayout) -> Description:
    """Return the operation from SRC in one arrangement to DST in another, of the same dims."""
    return _reorder(source, target, dnnl().threads(), library.generation)


@functools.lru_cache(256)
def _reorder(source: DnnlLayout, target: DnnlLayout, threads: int, child: int) -> Description:
    engine = dnnl().engine
    found = favourite("reorder", source, engine, target, engine)
    if found is None:
        raise RunError(f"oneDNN cannot convert from {source!r} to {target!r}")
    return found


def _step(source: DnnlLayout, start: int, target: DnnlLayout, end: int, keep: Any = None) -> Step:
    """Return a reorder between two addresses, with a scratchpad of its own."""
    way = reorder(source, target)
    spare = CPU.bytes_(way.scratchpad)
    return way.step({api.SRC: start, api.DST: end}, spare.ctypes.data, keep=(spare, keep))


def _copy(source: DnnlLayout, start: int, target: DnnlLayout, end: int) -> None:
    sequence([_step(source, start, target, end)])()


def _of(memory: Memory, other: Memory) -> DnnlLayout:
    """Return a memory's layout; a plain one's axes are split as the other's are."""
    if isinstance(memory.layout, DnnlLayout):
        return memory.layout
    if isinstance(other.layout, DnnlLayout):
        return _plain_like(other.layout)
    return plain(memory.shape)


def _plain_like(layout: DnnlLayout) -> DnnlLayout:
    return plain(layout.dims, shape=layout.shape)


def _strides(dims: Shape, order: Sequence[int]) -> list[int]:
    """Return the stride of each axis in this order, the last innermost."""
    strides, step = [0] * len(dims), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= dims[axis]
    return strides
