"""CuPy's functions and ufuncs, done by NumPy on the memory of device arrays."""

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.array import (
    arrays_in,
    checked,
    elementwise_copy,
    fresh,
    here,
    hidden_sync,
    made,
    ndarray,
    operand,
)  # fmt: skip
from tests.fakegpu.memory import copy_from_host
from tests.fakegpu.table import TABLE, bind

# The size of what they return depends on values, so that CuPy waits for the device.
WAITING = {"nonzero", "flatnonzero", "argwhere", "unique", "bincount", "extract", "compress",
           "array_equal", "allclose", "trim_zeros", "histogram", "repeat"}  # fmt: skip
_PLAIN = {"size", "ndim", "shape", "may_share_memory", "shares_memory", "result_type", "can_cast",
          "isscalar", "iscomplexobj", "isrealobj", "broadcast_shapes"}  # fmt: skip


def bare(value):
    """An argument for NumPy. NumPy arrays are refused: they are in the host's memory."""
    if isinstance(value, ndarray):
        here(value)
        return value._np
    if isinstance(value, (tuple, list)):
        return type(value)(bare(part) for part in value)
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def compute(name, function, args, kwargs):
    """Call a function of NumPy's on device arrays: with `out` in place, else with a new array."""
    machine = state.current()
    if name in WAITING:
        hidden_sync(name)
    out = kwargs.get("out")
    if out is not None and not isinstance(out, ndarray):
        raise TypeError(f"Output arguments type must be cupy.ndarray, not {type(out)}")
    plain_args, plain_kwargs = bare(args), {key: bare(value) for key, value in kwargs.items()}
    sources = list(arrays_in((args, kwargs)))
    touched = [array._memory for array in sources]
    if out is not None:
        target = out._np
        trial = None
        if any(array is not out and np.may_share_memory(array._np, target) for array in sources):
            raise NotImplementedError(f"{name}: out overlaps an operand: undefined in CuPy")
        if machine.stream().capture is not None:
            plain_kwargs["out"] = np.empty_like(target)  # the call's own checks, without its effect
            trial = function(*plain_args, **plain_kwargs)
            plain_kwargs["out"] = target
        del trial
        machine.submit(lambda: function(*plain_args, **plain_kwargs), *touched)
        return out
    result = function(*plain_args, **plain_kwargs)
    if name in _PLAIN:
        return result
    return wrapped(result, sources)


def wrapped(result, sources):
    """Device arrays for what NumPy returned."""
    if isinstance(result, (tuple, list)):
        return type(result)(wrapped(part, sources) for part in result)
    if isinstance(result, np.ndarray):
        for source in sources:
            if result.size and np.may_share_memory(result, source._np):
                return source._view(result)
    if isinstance(result, (np.ndarray, np.generic, int, float, bool)):
        return fresh(result, *sources)
    return result


def function(name):
    """A function of CuPy's whose namesake in NumPy does the same."""
    numpys = getattr(np, name)

    def call(*args, **kwargs):
        bind("functions", name, args, kwargs)
        given = bind("functions", name, args, kwargs)
        named = "out" in given and "out" not in kwargs
        if named:  # given by position
            return call(**given)
        return compute(name, numpys, args, kwargs)

    call.__name__ = name
    return call


class ufunc:  # noqa: N801
    """One of CuPy's ufuncs: `where`, `order` and `subok` are refused, most methods are missing."""

    def __init__(self, name):
        self._np, self.__name__, self.name = getattr(np, name), name, f"cupy_{name}"
        self._methods = TABLE["ufuncs"][name]["methods"]
        self.types = TABLE["ufuncs"][name]["types"]
        self.nin, self.nout = self._np.nin, self._np.nout

    def __call__(self, *args, **kwargs):
        out = kwargs.pop("out", None)
        dtype, casting = kwargs.pop("dtype", None), kwargs.pop("casting", "same_kind")
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.name}: {len(args)}")
        args, outs = list(args[: self.nin]), list(args[self.nin :])
        if out is not None:
            if outs:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            outs = list(out) if isinstance(out, tuple) else [out]
        outs = [o for o in outs if o is not None]
        plain = [operand(a) for a in args]
        shape = np.broadcast_shapes(*(np.shape(a) for a in plain))
        options = {"casting": casting} | ({} if dtype is None else {"dtype": dtype})
        if not outs:
            results = self._np(*plain, **options)
            results = results if self.nout > 1 else (results,)
            made = tuple(fresh(r, *arrays_in(args)) for r in results)
            for result in made:
                checked(result.dtype)
            return made if self.nout > 1 else made[0]
        for o in outs:
            if not isinstance(o, ndarray):
                raise TypeError("Output arguments type must be cupy.ndarray")
            here(o)
            if o.shape != shape:
                raise ValueError(f"Out shape is mismatched: {o.shape}, the result has {shape}")
        for i, a in enumerate(args):
            if isinstance(a, ndarray) and any(
                a is not o and np.may_share_memory(a._np, o._np) for o in outs
            ):
                # CuPy copies an operand that may overlap the result, unless it is the result, as
                # the same Python object: that takes new memory in each call.
                args[i] = a.copy()
                plain[i] = args[i]._np
        targets = tuple(o._np for o in outs)
        dtypes = [np.asarray(p).dtype if isinstance(p, np.ndarray) else type(p) for p in plain]
        self._check(plain, targets, options, dtypes)
        touched = [a._memory for a in arrays_in((args, outs))]
        state.current().submit(lambda: self._run(plain, targets, options), *touched)
        return tuple(outs) if self.nout > 1 else outs[0]

    def _check(self, plain, targets, options, dtypes):
        """Number types that do not go together are refused now, not when a graph is launched."""
        tiny = [np.zeros((), p.dtype) if isinstance(p, np.ndarray) else p for p in plain]
        self._run(tiny, tuple(np.empty((), t.dtype) for t in targets), options)

    def _run(self, plain, targets, options):
        with np.errstate(all="ignore"):
            self._np(*plain, out=targets, **options)

    def _refuse(self, method):
        if method not in self._methods:
            raise NotImplementedError(f"`{self.name}.{method}` is not supported yet")

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        self._refuse("reduce")
        kwargs = {"axis": axis, "dtype": dtype, "keepdims": keepdims}
        kwargs |= {} if out is None else {"out": out}
        return compute(f"{self.__name__}.reduce", self._np.reduce, (array,), kwargs)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        self._refuse("accumulate")
        kwargs = {"axis": axis, "dtype": dtype} | ({} if out is None else {"out": out})
        return compute(f"{self.__name__}.accumulate", self._np.accumulate, (array,), kwargs)

    def at(self, a, indices, b=None):
        self._refuse("at")
        if self.__name__ in ("add", "subtract") and a.dtype.char not in "efdFDiILQlq":
            raise TypeError(f"{self.__name__}.at does not support {a.dtype}")
        target, places = operand(a), indices
        if isinstance(indices, (list, np.ndarray)):
            places = np.asarray(indices)
            state.current().count("h2d", places.nbytes)
        else:
            places = bare(indices)
        values = operand(b)
        touched = [x._memory for x in arrays_in((a, indices, b))]
        state.current().submit(lambda: self._np.at(target, places, values), *touched)


# Functions whose arguments or memory differ from NumPy's


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
    return ndarray(like.shape, like.dtype, order="F" if like.flags.fnc else "C")


def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    array = empty_like(a, dtype, order, subok, shape)
    array.fill(fill_value)
    return array


def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    return full_like(a, 0, dtype, order, subok, shape)


def ones_like(a, dtype=None, order="K", subok=None, shape=None):
    return full_like(a, 1, dtype, order, subok, shape)


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if isinstance(obj, ndarray):
        here(obj)
        wanted = np.array(obj._np, dtype, copy=None, order=order, ndmin=ndmin)
        if not copy and np.may_share_memory(wanted, obj._np):
            return obj if wanted.shape == obj.shape else obj._view(wanted)
        return fresh(np.array(obj._np, dtype, order=order, ndmin=ndmin), obj)
    if isinstance(obj, (list, tuple)) and any(True for _ in arrays_in(obj)):
        return fresh(np.array(bare(list(obj)), dtype, ndmin=ndmin), *arrays_in(obj))
    order = order if order in "CF" else "C"
    host = np.array(obj, dtype, order=order, ndmin=ndmin)
    checked(host.dtype)
    result = ndarray(host.shape, host.dtype, order="F" if host.flags.fnc else "C")
    copy_from_host(result.data, host.ctypes.data, host.nbytes, keep=host)
    return result


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, bool(copy), order or "K", blocking=blocking)


def ascontiguousarray(a, dtype=None):
    return array(a, dtype, False, "C", ndmin=1)


def arange(start, stop=None, step=1, dtype=None):
    values = np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype)
    return fresh(values)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(stream, order, out, blocking)
    return np.asarray(a, order=order)


def copyto(dst, src, casting="same_kind", where=None):
    if not isinstance(dst, ndarray):
        raise TypeError(f"Unsupported type {type(dst)}")
    value = operand(src)
    if hasattr(src, "dtype") and not np.can_cast(src.dtype, dst.dtype, casting):
        raise TypeError(f"Cannot cast {src.dtype} to {dst.dtype} in {casting} casting mode")
    if where is not None:
        mask, target = operand(where), dst._np
        np.broadcast_to(mask, target.shape)
        touched = [a._memory for a in arrays_in((dst, src, where))]
        state.current().submit(
            lambda: np.copyto(target, value, casting="unsafe", where=mask), *touched
        )
    elif isinstance(src, ndarray):
        dst[...] = src
    else:
        dst.fill(src)


def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    options = {"axis": axis, "casting": casting} | ({} if dtype is None else {"dtype": dtype})
    options |= {} if out is None else {"out": out}
    return compute("concatenate", np.concatenate, (list(tup),), options)


def where(condition, x=None, y=None):
    if x is None and y is None:
        return compute("nonzero", np.nonzero, (condition,), {})
    args = [operand(condition), operand(x), operand(y)]
    return fresh(np.where(*args), *arrays_in((condition, x, y)))


def broadcast_to(array, shape):
    view = np.broadcast_to(operand(array), shape)
    return array._view(view)


def as_strided(x, shape=None, strides=None):
    view = np.lib.stride_tricks.as_strided(
        operand(x), x.shape if shape is None else shape, x.strides if strides is None else strides
    )
    return x._view(view)


def take(a, indices, axis=None, out=None):
    """Places beyond the end wrap around, as CuPy's do; they are not checked."""
    if isinstance(indices, (list, tuple, np.ndarray)):
        indices = array(np.asarray(indices))
    kwargs = {"axis": axis, "mode": "wrap"} | ({} if out is None else {"out": out})
    return compute("take", np.take, (a, indices), kwargs)


def matmul(*args, out=None, **kwargs):
    given = bind("functions", "matmul", args, kwargs)
    if len(args) != 2 or set(given) - {"args"}:
        raise NotImplementedError("the fake's matmul takes two arrays, and out by name")
    for a in args:
        if not isinstance(a, ndarray):
            raise TypeError(f"Unsupported type {type(a)}")
    if out is not None:
        shape = np.broadcast_shapes(args[0].shape[:-2], args[1].shape[:-2])
        del shape
    return compute("matmul", np.matmul, args, {} if out is None else {"out": out})


def get_array_module(*args):
    from tests.fakegpu.modules import cupy

    return cupy() if any(isinstance(a, ndarray) for a in args) else np


OWN = {
    f.__name__: f
    for f in (
        empty, full, zeros, ones, empty_like, full_like, zeros_like, ones_like, array, asarray,
        ascontiguousarray, arange, asnumpy, copyto, concatenate, where, broadcast_to, take, matmul,
        get_array_module,
    )
}  # fmt: skip

__all__ = ["OWN", "as_strided", "compute", "elementwise_copy", "function", "made", "ufunc"]
