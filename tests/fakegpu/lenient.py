"""Test code that treats device arrays as the host's; everybody else's stays on the fake's terms.

Within `gpu.lenient_tests()` a test reads `net.blobs["x"].data` as if it were a NumPy array: it
computes with it, compares it, assigns host arrays to parts of it. So one test serves both devices.
What decides is whose code it is: that of a file below tests/, called directly or through NumPy,
pytest or Hypothesis. Code under minidl/ does not get any of it.

What a test computes from a device array is a NumPy array; views stay device arrays. It reads and
writes through the null stream, as a program beside minidl would, and is not counted.
"""

import operator
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.fakegpu.array import ndarray
from tests.fakegpu.operators import BINARY, COMPARE, METHODS, UNARY
from tests.fakegpu.stream import NULL
from tests.fakegpu.ufunc import ufunc

TESTS = str(Path(__file__).resolve().parents[1])
FAKE = str(Path(__file__).resolve().parent)
BETWEEN = ("/numpy/", "/_pytest/", "/hypothesis/", "contextlib.py")

_kinds: dict[str, str] = {}  # file name -> "test", "between", "other"


def _kind(name):
    if name.startswith(TESTS):
        own = name.startswith(FAKE) and "/test_" not in name
        return "between" if own else "test"
    return "between" if any(part in name for part in BETWEEN) else "other"


def asked_by_a_test():
    """Whether the innermost code that is neither the fake's nor a library's is a test's."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        kind = _kinds.get(name) or _kinds.setdefault(name, _kind(name))
        if kind != "between":
            return kind == "test"
        frame = frame.f_back
    return False


def host(value):
    """A device array as a copy on the host, also within tuples, lists and dicts."""
    if isinstance(value, ndarray):
        NULL._line.settle()
        return value._np.copy()[()]
    if isinstance(value, tuple | list):
        return type(value)(map(host, value))
    if isinstance(value, dict):
        return {key: host(part) for key, part in value.items()}
    return value


def write(array, index, value):
    """`array[index] = value` from the host."""
    index, value = host(index), np.array(host(value))
    NULL._line.do(lambda: array._np.__setitem__(index, value), (array._memory,))


@contextmanager
def lenient():
    """While this is open, device arrays have the methods for tests beside their own."""
    mine = {
        name: _either(name, function, getattr(ndarray, name, None))
        for name, function in FOR_TESTS.items()
    }
    mine |= {"flat": property(FOR_TESTS["flat"])} | NUMPYS
    before = {name: vars(ndarray)[name] for name in mine if name in vars(ndarray)}
    for name, method in mine.items():
        setattr(ndarray, name, method)
    try:
        yield
    finally:
        for name in mine:
            if name in before:
                setattr(ndarray, name, before[name])
            else:
                delattr(ndarray, name)


def _either(name, for_tests, for_others):
    """A method that does the one in test code and the other elsewhere."""

    def method(self, *args, **kwargs):
        return (for_tests if asked_by_a_test() else for_others)(self, *args, **kwargs)

    method.__name__ = name
    return method


# ------------------------------------------------------------------ methods for tests


def _computing(function, swapped=False):
    if swapped:
        return lambda self, other: function(host(other), host(self))
    return lambda self, *other: function(host(self), *map(host, other))


def _in_place(function):
    def method(self, other):
        write(self, ..., function(host(self), host(other)))
        return self

    return method


def _method_of_numpy(name):
    return lambda self, *args, **kwargs: getattr(np.asarray(host(self)), name)(
        *host(args), **host(kwargs)
    )


def _get_item(self, index):
    """A view where NumPy has one."""
    index = host(index)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, list | np.ndarray) and np.ndim(part) for part in parts):
        return host(self)[index]
    return _STRICT_GET_ITEM(self, index)


_STRICT_GET_ITEM = ndarray.__getitem__


def _array(self, dtype=None, copy=None):
    return np.asarray(host(self), dtype)


def _array_ufunc(self, function, method, *inputs, out=(), **kwargs):
    if not asked_by_a_test():  # what the fake does where it is None, as for np.float32(2) * array
        if method != "__call__" or out or any(isinstance(x, np.ndarray) for x in inputs):
            return NotImplemented
        return ufunc(function.__name__)(*inputs, **kwargs)
    result = getattr(function, method)(*host(inputs), **host(kwargs))
    if out:
        (target,) = out
        target[...] = result
        return target
    return result


def _array_function(self, function, types, args, kwargs):
    if not asked_by_a_test():  # as if there were no such method
        return function._implementation(*args, **kwargs)
    if function is np.shares_memory:
        return function(*(x._np if isinstance(x, ndarray) else x for x in args), **kwargs)
    return function(*host(args), **host(kwargs))


_OPERATORS = {"and": "and_", "or": "or_"}
FOR_TESTS = {
    "__getitem__": _get_item,
    "__setitem__": write,
    "__array__": _array,
    "flat": lambda self: np.asarray(host(self)).flat,
    "get": _array,
    "__repr__": lambda self: repr(host(self)),
    "__str__": lambda self: str(host(self)),
    "__bool__": lambda self: bool(host(self)),
    "__int__": lambda self: int(host(self)),
    "__float__": lambda self: float(host(self)),
    "__index__": lambda self: operator.index(host(self)),
}
for _name in (*METHODS, "copy", "astype", "flatten", "item", "tolist", "tobytes", "clip", "take"):
    FOR_TESTS[_name] = _method_of_numpy(_name)
for _name in BINARY:
    _function = getattr(operator, _OPERATORS.get(_name, _name))
    FOR_TESTS[f"__{_name}__"] = _computing(_function)
    FOR_TESTS[f"__r{_name}__"] = _computing(_function, swapped=True)
    FOR_TESTS[f"__i{_name}__"] = _in_place(_function)
for _name in (*COMPARE, *UNARY, "matmul"):
    FOR_TESTS[f"__{_name}__"] = _computing(getattr(operator, _name))

NUMPYS = {"__array_ufunc__": _array_ufunc, "__array_function__": _array_function}
