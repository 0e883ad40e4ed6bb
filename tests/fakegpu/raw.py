"""RawModule and RawKernel: the CUDA source, compiled by a C++ compiler, run by one thread.

The source has to be such that one thread does all the work: grid-stride loops, no shared memory,
no barriers (see minidl/engines/cupy_kernels/kernels.cuh).
"""

import numpy as np

from tests.fakegpu import machine as state
from tests.fakegpu.arguments import argument, signature
from tests.fakegpu.compiler import compiled
from tests.fakegpu.errors import CUDARuntimeError


class RawModule:
    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc",
                 translate_cucomplex=False, enable_cooperative_groups=False,
                 name_expressions=None, jitify=False):  # fmt: skip
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path is not None or name_expressions is not None:
            raise NotImplementedError('the fake compiles `code` with extern "C" kernels only')
        if not isinstance(options, tuple):
            raise TypeError("options must be a tuple")
        self.code, self.options, self.backend = code, options, backend

    def compile(self, log_stream=None):
        compiled(self.code, self.options)

    def get_function(self, name):
        return RawKernel._of(*compiled(self.code, self.options), name)


class RawKernel:
    """One kernel: called with a grid, a block, and its arguments as CuPy takes them."""

    def __init__(self, code, name, options=(), backend="nvrtc", **_):
        self.__dict__ = RawModule(code, options=options).get_function(name).__dict__

    @classmethod
    def _of(cls, library, text, name):
        self = cls.__new__(cls)
        parameters = signature(text, name)
        try:
            self._function = getattr(library, name)
        except AttributeError:
            raise CUDARuntimeError(
                "CUDA_ERROR_NOT_FOUND", f'there is no extern "C" kernel {name!r}'
            ) from None
        self._function.restype = None
        self.name, self._parameters = name, parameters
        return self

    def __call__(self, grid, block, args, *, shared_mem=0):
        if shared_mem:
            raise NotImplementedError("the fake has no shared memory")
        machine = state.current()
        _dimensions(self.name, grid, block)
        if len(args) != len(self._parameters):
            raise TypeError(f"{self.name} takes {len(self._parameters)} arguments, got {len(args)}")
        passed, touched = [], []
        for i, (arg, (kind, name)) in enumerate(zip(args, self._parameters, strict=True)):
            at = f"{self.name}: argument {i} ({kind} {name})"
            value, memory = argument(arg, kind, at)
            passed.append(value)
            touched += memory
        machine.submit(lambda: self._function(*passed), *touched)


def _dimensions(name, grid, block):
    for what, sizes in (("grid", grid), ("block", block)):
        if not (isinstance(sizes, tuple) and 1 <= len(sizes) <= 3):
            raise TypeError(f"{name}: {what} has to be a tuple of one to three integers")
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
                raise TypeError(f"{name}: {what} is {sizes}, of {type(size).__name__}")
    limits = (2**31 - 1, 65535, 65535), (1024, 1024, 64)
    bad = any(
        not 1 <= size <= limit
        for sizes, most in zip((grid, block), limits, strict=True)
        for size, limit in zip(sizes, most, strict=False)
    )
    if bad or int(np.prod(block)) > 1024:
        raise CUDARuntimeError(
            "CUDA_ERROR_INVALID_VALUE", f"{name}: no launch of grid {grid}, block {block}"
        )
