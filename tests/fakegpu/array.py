"""Device arrays: `ndarray`, which hides a NumPy array over the fake device's memory."""

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.indexing import get_item, set_item
from tests.fakegpu.memory import Memory, MemoryPointer
from tests.fakegpu.transfers import Transfers

SCALARS = (bool, int, float, complex, np.generic)


class ndarray(Transfers):  # noqa: N801  (CuPy's name)
    """CuPy's ndarray. Not a NumPy array, and not to be taken for one.

    data    MemoryPointer to its first byte
    base    the array that this is a view of, or None
    """

    __array_ufunc__ = None  # NumPy's functions refuse it, and its operators leave it to ours

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        dtype = checked(np.dtype(dtype))
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if memptr is None:
            memptr = MemoryPointer(Memory(state.current().allocate(size)), 0)
        start = memptr.ptr - memptr.mem.ptr
        self._np = np.ndarray(shape, dtype, memptr.mem.allocation.bytes, start, strides, order)
        self.data, self.base = memptr, None

    def _view(self, array):
        """Another array over the same memory."""
        view = ndarray.__new__(ndarray)
        view._np = array
        offset = array.ctypes.data - self._np.ctypes.data if array.size else 0
        view.data = self.data + offset
        view.base = self if self.base is None else self.base
        return view

    @property
    def _memory(self):
        return self.data.mem.allocation

    def _here(self):
        """Refuse an array of another device than the current one."""
        if self.data.device_id != state.current().device:
            raise ValueError(
                f"Array device must be same as the current device: array device = "
                f"{self.data.device_id} while current = {state.current().device}"
            )

    def _computed(self, function):
        """A new array: what `function` makes of this one's values."""
        self._here()
        return computed(lambda: function(self._np), (self,))

    # What an array knows without asking the device

    shape = property(lambda self: self._np.shape)
    dtype = property(lambda self: self._np.dtype)
    ndim = property(lambda self: self._np.ndim)
    size = property(lambda self: self._np.size)
    nbytes = property(lambda self: self._np.nbytes)
    itemsize = property(lambda self: self._np.itemsize)
    strides = property(lambda self: self._np.strides)
    T = property(lambda self: self._view(self._np.T))

    @shape.setter
    def shape(self, shape):
        self._np.shape = shape

    @property
    def flags(self):
        return Flags(self._np, self.base is None)

    @property
    def device(self):
        return self.data.device

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.shape, "typestr": self.dtype.str, "version": 3, "stream": 1,
            "data": (self.data.ptr, False), "strides": self.strides,
        }  # fmt: skip

    def __len__(self):
        return len(self._np)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    __hash__ = None

    # Views and copies

    def view(self, dtype=None, type=None):
        return self._view(self._np.view() if dtype is None else self._np.view(dtype))

    def reshape(self, *shape, order="C", copy=None):
        shape = shape[0] if len(shape) == 1 else shape
        return self._arranged(lambda values: values.reshape(shape, order=order))

    def ravel(self, order="C"):
        return self._arranged(lambda values: values.ravel(order))

    def _arranged(self, function):
        """A view if NumPy finds one, otherwise a copy."""
        array = function(self._np)
        shares = np.may_share_memory(array, self._np) or not array.size
        return self._view(array) if shares else self._computed(function)

    def transpose(self, *axes):
        return self._view(self._np.transpose(*axes))

    def swapaxes(self, axis1, axis2):
        return self._view(self._np.swapaxes(axis1, axis2))

    def squeeze(self, axis=None):
        return self._view(self._np.squeeze(axis))

    def diagonal(self, offset=0, axis1=0, axis2=1):
        return self._view(self._np.diagonal(offset, axis1, axis2))

    def copy(self, order="C"):
        return self._computed(lambda values: values.copy(order))

    def flatten(self, order="C"):
        return self._computed(lambda values: values.flatten(order))

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        dtype = checked(np.dtype(dtype))
        if not copy and dtype == self.dtype:
            return self
        return self._computed(lambda values: values.astype(dtype, order, casting or "unsafe"))

    def fill(self, value):
        if isinstance(value, np.ndarray):
            if value.shape != ():
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            value = value.item()
        if isinstance(value, ndarray):
            if value.shape != ():
                raise ValueError("non-scalar cupy.ndarray cannot be used for fill")
            value = value._np
        elif not isinstance(value, SCALARS):
            raise TypeError(f"Unsupported type {type(value)}")
        target = self._np
        state.current().submit(lambda: target.fill(value), self._memory)

    def __getitem__(self, index):
        return get_item(self, index)

    def __setitem__(self, index, value):
        set_item(self, index, value)


class Flags:
    """CuPy's flags: it has no `writeable`."""

    def __init__(self, array, owns):
        self.c_contiguous = array.flags.c_contiguous
        self.f_contiguous = array.flags.f_contiguous
        self.owndata = owns
        self.forc = self.c_contiguous or self.f_contiguous
        self.fnc = self.f_contiguous and not self.c_contiguous

    def __getitem__(self, name):
        return getattr(self, {"C_CONTIGUOUS": "c_contiguous", "F_CONTIGUOUS": "f_contiguous",
                              "OWNDATA": "owndata"}[name])  # fmt: skip


def checked(dtype):
    """Refuse the number types that CuPy has not."""
    if dtype.kind not in "?biufc" or dtype.char in "gG":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def operand(value):
    """The NumPy array or scalar behind an operand; what CuPy does not take is refused."""
    if isinstance(value, ndarray):
        value._here()
        return value._np
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def bare(value):
    """Any argument, for NumPy. NumPy arrays are refused: they are in the host's memory."""
    if isinstance(value, (tuple, list)):
        return type(value)(bare(part) for part in value)
    return operand(value) if isinstance(value, (ndarray, np.ndarray)) else value


def arrays_in(values):
    """All device arrays in nested tuples, lists and dicts."""
    if isinstance(values, ndarray):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from arrays_in(value)
    elif isinstance(values, dict):
        yield from arrays_in(list(values.values()))


def computed(function, sources=()):
    """New device arrays for the NumPy array or number, or the tuple of them, of `function`.

    function   computes from what is in memory once all work before has been done
    sources    device arrays that it reads: what it returns of their memory is a view of them
    """
    sources, machine = list(sources), state.current()
    capturing = machine.stream._line.capture is not None
    if not capturing:
        machine.stream._line.settle()
    result = function()  # while capturing only to know the shapes: the numbers mean nothing yet
    several = isinstance(result, (tuple, list))
    parts = list(result) if several else [result]
    arrays = [_place(part, sources) for part in parts]
    new = [i for i, a in enumerate(arrays) if isinstance(a, ndarray) and a.base is None]

    def run():
        values = parts
        if capturing:
            values = function()
            values = values if several else [values]
        for i in new:
            np.copyto(arrays[i]._np, values[i])

    if new:
        machine.submit(run, *(a._memory for a in (*sources, *(arrays[i] for i in new))))
    return type(result)(arrays) if several else arrays[0]


def _place(value, sources):
    """Where a part of a result goes: a view of a source, or a new array; else it stays itself."""
    if isinstance(value, np.ndarray) and value.size:
        for source in sources:
            if np.may_share_memory(value, source._np):
                return source._view(value)
    if not isinstance(value, (np.ndarray, np.generic, int, float)):
        return value
    value = np.asarray(value)
    return ndarray(value.shape, value.dtype, order="F" if value.flags.fnc else "C")
