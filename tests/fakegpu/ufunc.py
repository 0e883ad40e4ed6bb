"""CuPy's ufuncs: `where`, `order` and `subok` are refused, and most of the methods are missing."""

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.array import arrays_in, bare, checked, computed, ndarray, operand
from tests.fakegpu.indexing import scattered
from tests.fakegpu.table import TABLE

# The number types that CuPy's `at` works on, those of atomic operations.
SCATTERED = {
    "add": "int32 uint32 uint64 float16 float32 float64",
    "subtract": "int32 uint32",
    "maximum": "int32 uint32 uint64 float32 float64",
    "minimum": "int32 uint32 uint64 float32 float64",
    "bitwise_and": "int32 int64 uint32 uint64",
    "bitwise_or": "int32 int64 uint32 uint64",
    "bitwise_xor": "int32 int64 uint32 uint64",
}


class ufunc:  # noqa: N801  (CuPy's name)
    def __init__(self, name):
        self._np, self.__name__, self.name = getattr(np, name), name, f"cupy_{name}"
        self._methods = TABLE["ufuncs"][name]["methods"]
        self.types = TABLE["ufuncs"][name]["types"]
        self.nin, self.nout = self._np.nin, self._np.nout
        self.nargs = self.nin + self.nout

    def __repr__(self):
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args, out=None, dtype=None, casting="same_kind", **kwargs):
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if not self.nin <= len(args) <= self.nargs:
            raise TypeError(f"Wrong number of arguments for {self.name}: {len(args)}")
        args, outs = list(args[: self.nin]), self._outs(args[self.nin :], out)
        plain = [operand(arg) for arg in args]
        options = {"casting": casting} | ({} if dtype is None else {"dtype": dtype})
        if not outs:
            return computed(lambda: self._checked(self._run(plain, options)), arrays_in(args))
        shape = np.broadcast_shapes(*(np.shape(p) for p in plain))
        for target in outs:
            if target.shape != shape:
                raise ValueError(
                    f"Out shape is mismatched: out has {target.shape}, the result {shape}"
                )
        for i, arg in enumerate(args):
            if isinstance(arg, ndarray) and any(_overlap(arg, target) for target in outs):
                args[i] = arg.copy()
                plain[i] = args[i]._np
        options["out"] = tuple(target._np for target in outs)
        if state.current().later:
            self._try(plain, options)
        touched = [array._memory for array in arrays_in((args, outs))]
        state.current().submit(lambda: self._run(plain, options), *touched)
        return tuple(outs) if self.nout > 1 else outs[0]

    def _outs(self, given, named):
        if named is not None:
            if given:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            given = named if isinstance(named, tuple) else (named,)
        outs = [target for target in given if target is not None]
        for target in outs:
            if not isinstance(target, ndarray):
                raise TypeError("Output arguments type must be cupy.ndarray")
            target._here()
        if outs and len(outs) != self.nout:
            raise NotImplementedError(f"the fake's {self.name} takes all results as out, or none")
        return outs

    def _run(self, plain, options):
        with np.errstate(all="ignore"):
            return self._np(*plain, **options)

    def _try(self, plain, options):
        """Number types that do not go together are refused now, not when a graph is launched."""
        single = [np.ones((), p.dtype) if isinstance(p, np.ndarray) else p for p in plain]
        self._run(single, options | {"out": tuple(np.ones((), o.dtype) for o in options["out"])})

    def _checked(self, results):
        for result in results if self.nout > 1 else (results,):
            checked(np.asarray(result).dtype)
        return results

    # Methods

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        return self._along("reduce", array, out, axis=axis, dtype=dtype, keepdims=keepdims)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        return self._along("accumulate", array, out, axis=axis, dtype=dtype)

    def _along(self, method, array, out, **options):
        from tests.fakegpu.functions import compute

        self._refuse(method)
        options |= {} if out is None else {"out": out}
        return compute(f"{self.__name__}.{method}", getattr(self._np, method), (array,), options)

    def at(self, a, indices, b=None):
        """Without order, so in parallel sums may round otherwise each time."""
        self._refuse("at")
        if a.dtype.name not in SCATTERED[self.__name__].split():
            raise TypeError(f"cupy.{self.__name__}.at does not support {a.dtype}")
        if isinstance(indices, (list, np.ndarray)):
            places = np.asarray(indices)
            state.current().count("h2d", places.nbytes)
        else:
            places = bare(indices)
        b = scattered(a, indices, b)
        target, values = operand(a), operand(b)
        touched = [array._memory for array in arrays_in((a, indices, b))]
        state.current().submit(lambda: self._np.at(target, places, values), *touched)

    def _refuse(self, method):
        if method not in self._methods:
            raise NotImplementedError(f"`{self.name}.{method}` is not supported yet")


def _overlap(operand, target):
    """Whether CuPy copies the operand first, which takes new memory in each call.

    It does where both may share memory, unless they are the same Python object.
    """
    return operand is not target and np.may_share_memory(operand._np, target._np)
