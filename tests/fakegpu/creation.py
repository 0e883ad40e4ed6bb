"""CuPy's functions that make arrays."""

import numpy as np

from tests.fakegpu.array import arrays_in, bare, checked, computed, ndarray
from tests.fakegpu.memory import copy_from_host


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order=order)


def full(shape, fill_value, dtype=None, order="C"):
    dtype = np.asarray(fill_value).dtype if dtype is None else dtype
    array = empty(shape, dtype, order)
    array.fill(fill_value)
    return array


def zeros(shape, dtype=float, order="C"):
    array = empty(shape, dtype, order)
    array.data.memset_async(0, array.nbytes)
    return array


def ones(shape, dtype=float, order="C"):
    return full(shape, 1, dtype, order)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    if not isinstance(prototype, ndarray):
        raise TypeError(f"Unsupported type {type(prototype)}")
    like = np.empty_like(prototype._np, dtype, order, shape=shape)
    return empty(like.shape, like.dtype, "F" if like.flags.fnc else "C")


def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    array = empty_like(a, dtype, order, subok, shape)
    array.fill(fill_value)
    return array


def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    array = empty_like(a, dtype, order, subok, shape)
    array.data.memset_async(0, array.nbytes)
    return array


def ones_like(a, dtype=None, order="K", subok=None, shape=None):
    return full_like(a, 1, dtype, order, subok, shape)


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """From the host: one copy. From the device: a new array, or the same if that does."""
    if isinstance(obj, ndarray):
        obj._here()
        same = np.array(obj._np, dtype, copy=None, order=order, ndmin=ndmin)
        if not copy and np.may_share_memory(same, obj._np):
            return obj if same.shape == obj.shape else obj._view(same)
        return obj._computed(lambda values: np.array(values, dtype, order=order, ndmin=ndmin))
    if next(arrays_in(obj), None) is not None:
        return computed(lambda: np.array(bare(list(obj)), dtype, ndmin=ndmin))
    host = np.array(obj, dtype, order=order if order in "CF" else "C", ndmin=ndmin)
    checked(host.dtype)
    result = ndarray(host.shape, host.dtype, order="F" if host.flags.fnc else "C")
    copy_from_host(result.data, host.ctypes.data, host.nbytes, keep=host)
    return result


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, bool(copy), order or "K", blocking=blocking)


def asanyarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return asarray(a, dtype, order, copy=copy, blocking=blocking)


def ascontiguousarray(a, dtype=None):
    return array(a, dtype, False, "C", ndmin=1)


def arange(start, stop=None, step=1, dtype=None):
    """Computed on the device."""
    limits = (start,) if stop is None else (start, stop, step)
    return computed(lambda: np.arange(*limits, dtype=dtype))


ALL = (empty, full, zeros, ones, empty_like, full_like, zeros_like, ones_like, array, asarray,
       asanyarray, ascontiguousarray, arange)  # fmt: skip
