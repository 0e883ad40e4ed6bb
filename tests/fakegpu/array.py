"""Device arrays: `ndarray`, which hides a NumPy array over the fake device's memory."""

import operator

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.memory import Memory, MemoryPointer, copy_from_host, is_pinned

SCALARS = (bool, int, float, complex, np.generic)


class ndarray:  # noqa: N801  (CuPy's name)
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

    # Host and device

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def get(self, stream=None, order="C", out=None, blocking=True):
        machine = state.current()
        stream = stream or machine.stream()
        stream_captures = stream.capture is not None
        if out is not None and (out.dtype != self.dtype or out.shape != self.shape):
            raise ValueError(
                f"cannot copy {self.dtype} {self.shape} to out, {out.dtype} {out.shape}"
            )
        target = np.empty(self.shape, self.dtype, order if order in "CF" else "C")
        target = target if out is None else out
        machine.count("d2h", self.nbytes)
        if stream_captures and (blocking or not is_pinned(target.ctypes.data, target.nbytes)):
            raise state.CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported",
                f"a copy to the host while capturing, at {state.caller()}",
            )
        if blocking:
            machine.count("syncs")
        source = self._np
        stream.do(lambda: np.copyto(target, source), (self._memory,))
        return target

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self._np.flags.c_contiguous or self._np.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        arr = np.asarray(arr, order="C" if self._np.flags.c_contiguous else "F")
        copy_from_host(self.data, arr.ctypes.data, arr.nbytes, stream, keep=arr)

    def item(self):
        return self._one().item()

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def _one(self):
        if self.size != 1:
            raise ValueError("only a cupy.ndarray of size 1 has a value")
        return self.get()

    __bool__ = lambda self: bool(self._one().item())  # noqa: E731
    __int__ = lambda self: int(self._one().item())  # noqa: E731
    __float__ = lambda self: float(self._one().item())  # noqa: E731
    __complex__ = lambda self: complex(self._one().item())  # noqa: E731
    __index__ = lambda self: operator.index(self._one().item())  # noqa: E731

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    __hash__ = None

    # Views and copies

    def view(self, dtype=None, type=None):
        return self._view(self._np.view() if dtype is None else self._np.view(dtype))

    def reshape(self, *shape, order="C", copy=None):
        shape = shape[0] if len(shape) == 1 else shape
        return made(self._np.reshape(shape, order=order), self)

    def ravel(self, order="C"):
        return made(self._np.ravel(order), self)

    def transpose(self, *axes):
        return self._view(self._np.transpose(*axes))

    def swapaxes(self, axis1, axis2):
        return self._view(self._np.swapaxes(axis1, axis2))

    def squeeze(self, axis=None):
        return self._view(self._np.squeeze(axis))

    def diagonal(self, offset=0, axis1=0, axis2=1):
        return self._view(self._np.diagonal(offset, axis1, axis2))

    def copy(self, order="C"):
        return fresh(self._np.copy(order), self)

    def flatten(self, order="C"):
        return fresh(self._np.flatten(order), self)

    __copy__ = copy

    def __deepcopy__(self, memo):
        return self.copy()

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        dtype = checked(np.dtype(dtype))
        if not copy and dtype == self.dtype:
            return self
        return fresh(self._np.astype(dtype, order, casting or "unsafe"), self)

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

    # Indexing

    def __getitem__(self, index):
        index, advanced, mask = plain_index(index)
        if mask:
            hidden_sync("indexing with a mask")
        result = self._np[index]
        if advanced:
            return fresh(np.asarray(result), self)
        if not isinstance(result, np.ndarray):  # NumPy reads the value; CuPy makes a view
            index = index if isinstance(index, tuple) else (index,)
            result = self._np[(*index, ...)]
        return self._view(result)

    def __setitem__(self, index, value):
        plain, advanced, mask = plain_index(index)
        target, machine = self._np, state.current()
        if advanced:
            if mask and isinstance(value, ndarray) and value.ndim:
                hidden_sync("assigning an array to what a mask selects")
            source = operand(value)
            touched = [a._memory for a in arrays_in((self, index, value))]
            machine.submit(lambda: target.__setitem__(plain, source), *touched)
            return
        part = target[plain]
        if not isinstance(part, np.ndarray):
            part = target[(*plain, ...) if isinstance(plain, tuple) else (plain, ...)]
        part = self._view(part)
        if not isinstance(value, ndarray):
            part.fill(value)
            return
        here(value)
        if part.shape == value.shape and part.strides == value.strides:
            if part.data.ptr == value.data.ptr:
                return  # the same array
            if part._np.flags.c_contiguous and part.dtype == value.dtype:
                part.data.copy_from_device_async(value.data, value.nbytes)
                return
        elementwise_copy(value, part)


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


def here(array):
    """Refuse an array of another device than the current one."""
    if array.data.device_id != state.current().device:
        raise ValueError(
            f"Array device must be same as the current device: array device = "
            f"{array.data.device_id} while current = {state.current().device}"
        )


def operand(value):
    """The NumPy array or scalar behind an operand; what CuPy does not take is refused."""
    if isinstance(value, ndarray):
        here(value)
        return value._np
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def arrays_in(values):
    """All device arrays in nested tuples, lists and dicts."""
    if isinstance(values, ndarray):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from arrays_in(value)
    elif isinstance(values, dict):
        yield from arrays_in(list(values.values()))


def fresh(array, *sources):
    """A new device array with these values, computed by one launch."""
    machine = state.current()
    array = np.asarray(array)
    strides = array.strides if array.flags.f_contiguous and array.ndim > 1 else None
    result = ndarray(array.shape, array.dtype, order="F" if strides else "C")
    np.copyto(result._np, array)
    machine.submit(lambda: None, *(s._memory for s in sources))
    return result


def made(array, source):
    """A view of `source` if NumPy made one, otherwise a new array."""
    return source._view(array) if np.may_share_memory(array, source._np) else fresh(array, source)


def elementwise_copy(source, target):
    """What CuPy does for `target[...] = source` where a block of memory cannot be copied."""
    values, place = source._np, target._np
    if np.may_share_memory(values, place):
        source = source.copy()
        values = source._np
    if values.ndim > place.ndim:
        raise ValueError(f"could not broadcast {values.shape} to {place.shape}")
    np.broadcast_to(values, place.shape)  # refuses
    state.current().submit(
        lambda: np.copyto(place, values, casting="unsafe"), source._memory, target._memory
    )


def hidden_sync(why):
    """Some functions wait for the device because the size of their result depends on values."""
    machine = state.current()
    machine.count("syncs")
    machine.refuse_while_capturing(f"{why}, which waits for the device,")


def plain_index(index):
    """-> the index for NumPy, whether it is advanced indexing, whether a mask takes part."""
    parts = index if isinstance(index, tuple) else (index,)
    plain, advanced, mask = [], False, False
    for part in parts:
        if isinstance(part, (list, np.ndarray)) and not (
            isinstance(part, np.ndarray) and part.ndim == 0
        ):
            part = np.asarray(part)
            state.current().count("h2d", part.nbytes)
            advanced, mask = True, mask or part.dtype == bool
        elif isinstance(part, ndarray):
            if part.dtype.kind not in "biu":
                raise IndexError("arrays used as indices must be of integer or boolean type")
            mask = mask or part.dtype == bool
            part, advanced = part._np, True
        plain.append(part)
    return tuple(plain) if isinstance(index, tuple) else plain[0], advanced, mask
