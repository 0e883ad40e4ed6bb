"""How the values of a device array come to the host, and from there."""

import operator

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.memory import copy_from_host, is_pinned


class Transfers:
    """The part of `ndarray` that copies between host and device; each such copy is counted."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def get(self, stream=None, order="C", out=None, blocking=True):
        machine = state.current()
        line = (stream or machine.stream)._line
        if out is not None and (out.dtype != self.dtype or out.shape != self.shape):
            raise ValueError(
                f"cannot copy {self.dtype} {self.shape} to out, {out.dtype} {out.shape}"
            )
        target = np.empty(self.shape, self.dtype, order if order in "CF" else "C")
        target = target if out is None else out
        machine.count("d2h", self.nbytes)
        waits = blocking or not is_pinned(target.ctypes.data, target.nbytes)
        if waits:
            machine.refuse_while_capturing("a copy to the host, which waits,", line)
        source = self._np
        line.do(lambda: np.copyto(target, source), (self._memory,))
        if waits:
            machine.count("syncs")
            line.settle()
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
