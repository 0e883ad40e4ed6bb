"""CuPy's functions, done by NumPy on the memory of device arrays."""

import numpy as np

from tests.fakegpu import creation
from tests.fakegpu import machine as state
from tests.fakegpu.array import SCALARS, arrays_in, bare, computed, ndarray, operand
from tests.fakegpu.cublas import get_cublas_handle, refuse_capture
from tests.fakegpu.indexing import assign, hidden_sync
from tests.fakegpu.table import bind

# The size of what they return, or the number itself, depends on values: CuPy waits for the device.
WAITING = {"nonzero", "flatnonzero", "argwhere", "unique", "bincount", "extract", "compress",
           "trim_zeros", "histogram", "repeat"}  # fmt: skip
# They go through cuBLAS.
MULTIPLYING = {"matmul", "dot", "tensordot", "einsum", "inner", "vdot"}
# They know the answer without looking at values.
PLAIN = {"size", "ndim", "shape", "may_share_memory", "shares_memory", "result_type", "can_cast",
         "isscalar", "iscomplexobj", "isrealobj", "broadcast_shapes"}  # fmt: skip


def compute(name, function, args, kwargs):
    """Call a function of NumPy's on device arrays: with `out` in place, else with a new array."""
    if name in WAITING:
        hidden_sync(name)
    elif name in MULTIPLYING:
        get_cublas_handle()
        refuse_capture()
    plain_args = bare(args)
    plain_kwargs = {key: bare(value) for key, value in kwargs.items()}
    sources = list(arrays_in((args, kwargs)))
    if name in PLAIN:
        return function(*plain_args, **plain_kwargs)
    out = kwargs.get("out")
    if out is None:
        return computed(lambda: function(*plain_args, **plain_kwargs), sources)
    if not isinstance(out, ndarray):
        raise TypeError(f"Output arguments type must be cupy.ndarray, not {type(out)}")
    if any(a is not out and np.may_share_memory(a._np, out._np) for a in sources):
        raise NotImplementedError(f"{name}: out overlaps an operand, which the fake does not do")
    machine = state.current()
    if machine.later:  # what NumPy refuses has to be refused now: try on memory that is nobody's
        function(*plain_args, **plain_kwargs | {"out": np.empty_like(out._np)})
    touched = [a._memory for a in sources]
    machine.submit(lambda: function(*plain_args, **plain_kwargs), *touched)
    return out


def function(name):
    """A function of CuPy's whose namesake in NumPy does the same."""
    numpys = getattr(np, name)

    def call(*args, **kwargs):
        given = bind("functions", name, args, kwargs)
        if "out" in given and "out" not in kwargs:  # by position
            args, kwargs = (), given
        if kwargs.get("out", 0) is None:
            del kwargs["out"]
        return compute(name, numpys, args, kwargs)

    call.__name__ = name
    return call


# Where CuPy's differs from NumPy's


def copyto(dst, src, casting="same_kind", where=None):
    if not isinstance(dst, ndarray):
        raise TypeError(f"Unsupported type {type(dst)}")
    value, target = operand(src), dst._np
    if hasattr(src, "dtype") and not np.can_cast(src.dtype, dst.dtype, casting):
        raise TypeError(f"Cannot cast {src.dtype} to {dst.dtype} in {casting} casting mode")
    if where is None:
        assign(dst, src) if isinstance(src, ndarray) else dst.fill(src)
        return
    mask = operand(where)
    np.broadcast_to(mask, target.shape)
    np.broadcast_to(value, target.shape)
    touched = [a._memory for a in arrays_in((dst, src, where))]
    state.current().submit(lambda: np.copyto(target, value, casting="unsafe", where=mask), *touched)


def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    options = {"axis": axis, "casting": casting} | ({} if dtype is None else {"dtype": dtype})
    options |= {} if out is None else {"out": out}
    return compute("concatenate", np.concatenate, (list(tup),), options)


def where(condition, x=None, y=None):
    if x is None and y is None:
        return compute("nonzero", np.nonzero, (condition,), {})
    args = [operand(condition), operand(x), operand(y)]
    return computed(lambda: np.where(*args), arrays_in((condition, x, y)))


def take(a, indices, axis=None, out=None):
    """Places beyond the end wrap around, as CuPy's do: a GPU does not look."""
    if isinstance(indices, (list, tuple, np.ndarray)):
        indices = creation.array(np.asarray(indices))
    elif isinstance(indices, SCALARS):
        indices = int(indices)
    if out is not None and out.dtype != a.dtype:
        raise TypeError("Output dtype mismatch")
    kwargs = {"axis": axis} | ({} if out is None else {"out": out})
    return compute("take", _take_wrapped, (a, indices), kwargs)


def _take_wrapped(a, indices, axis=None, **kwargs):
    # np.take's mode="wrap" subtracts again and again: for ever, if an index is garbage.
    size = np.size(a) if axis is None else np.shape(a)[axis]
    return np.take(a, np.remainder(indices, size) if size else indices, axis, **kwargs)


def clip(a, a_min, a_max, out=None):
    kwargs = {} if out is None else {"out": out}
    return compute("clip", np.clip, (a, a_min, a_max), kwargs)


def matmul(*args, out=None, **kwargs):
    given = bind("functions", "matmul", args, kwargs)
    if len(args) != 2 or set(given) - {"args"}:
        raise NotImplementedError("the fake's matmul takes two arrays, and out by name")
    for a in args:
        if not isinstance(a, ndarray):
            raise TypeError(f"Unsupported type {type(a)}")
    if out is None:
        return compute("matmul", np.matmul, args, {})
    for size in _taken_by_matmul(*args, out):
        creation.empty(size, np.uint8)
    return compute("matmul", np.matmul, args, {"out": out})


def _taken_by_matmul(a, b, out):
    """Bytes of the arrays that CuPy makes on the way of a product with `out`.

    Two matrices: one that is contiguous in neither order is copied. More: each that is not in C
    order is copied, and where shapes differ there are arrays of pointers. A result that is not in
    C order is made apart.
    """
    several = max(a.ndim, b.ndim) > 2
    for x in (a, b):
        if not (x.flags.c_contiguous or (x.flags.f_contiguous and not several)):
            yield x.nbytes
    if several and len(set(x.shape[:-2] for x in (a, b, out))) > 1:
        yield 3 * 8 * int(np.prod(out.shape[:-2]))
    if not out.flags.c_contiguous:
        yield out.nbytes


def einsum(*operands, **kwargs):
    wrong = set(kwargs) - {"dtype", "casting", "optimize"}
    if wrong:
        raise TypeError(f"Did not understand the following kwargs: {sorted(wrong)}")
    return compute("einsum", np.einsum, operands, kwargs)


def broadcast_to(array, shape):
    return array._view(np.broadcast_to(operand(array), shape))


def as_strided(x, shape=None, strides=None):
    shape = x.shape if shape is None else shape
    strides = x.strides if strides is None else strides
    return x._view(np.lib.stride_tricks.as_strided(operand(x), shape, strides))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(stream, order, out, blocking)
    return np.asarray(a, order=order)


def get_array_module(*args):
    from tests.fakegpu.modules import cupy

    return cupy() if any(isinstance(a, ndarray) for a in args) else np


def shares_memory(a, b, max_work=None):
    return np.shares_memory(operand(a), operand(b))


OWN = {
    f.__name__: f
    for f in (copyto, concatenate, where, take, clip, matmul, einsum, broadcast_to, asnumpy,
              get_array_module, shares_memory, *creation.ALL)
}  # fmt: skip
