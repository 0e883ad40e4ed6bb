"""The operators and computing methods of device arrays, put onto `ndarray`."""

import numpy as np

from tests.fakegpu.array import ndarray
from tests.fakegpu.functions import clip, compute, matmul, take
from tests.fakegpu.table import bind
from tests.fakegpu.ufunc import ufunc

BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power",
    "floordiv": "floor_divide", "mod": "remainder", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
COMPARE = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
           "gt": "greater", "ge": "greater_equal"}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}

# Methods that do what a function of the same name does.
METHODS = (
    "all any argmax argmin argsort cumprod cumsum dot max mean min nonzero prod repeat round "
    "std sum trace var choose searchsorted"
).split()


def install():
    """Give `ndarray` what it computes with."""
    for short, name in BINARY.items():
        f = ufunc(name)
        setattr(ndarray, f"__{short}__", lambda self, other, f=f: f(self, other))
        setattr(ndarray, f"__r{short}__", lambda self, other, f=f: f(other, self))
        setattr(ndarray, f"__i{short}__", lambda self, other, f=f: f(self, other, out=self))
    for short, name in COMPARE.items():
        f = ufunc(name)
        setattr(ndarray, f"__{short}__", lambda self, other, f=f: f(self, other))
    ndarray.__hash__ = None
    for short, name in UNARY.items():
        f = ufunc(name)
        setattr(ndarray, f"__{short}__", lambda self, f=f: f(self))
    ndarray.__matmul__ = lambda self, other: matmul(self, other)
    ndarray.__rmatmul__ = lambda self, other: matmul(other, self)
    ndarray.__divmod__ = lambda self, other: ufunc("divmod")(self, other)
    for name in METHODS:
        setattr(ndarray, name, _method(name))
    ndarray.take = lambda self, indices, axis=None, out=None: take(self, indices, axis, out)
    ndarray.clip = lambda self, min=None, max=None, out=None: clip(self, min, max, out)


def _method(name):
    def method(self, *args, **kwargs):
        given = bind("methods", name, args, kwargs)
        out = given.pop("out", None)
        if name == "round":
            given = {"decimals": given.get("decimals", 0)}
        return compute(name, getattr(np, name), (self,),
                       given | ({} if out is None else {"out": out}))  # fmt: skip

    method.__name__ = name
    return method
