"""cuDNN's descriptors: what arrays and operations look like, as objects of the library.

Each is made whole, never changed, and destroyed with its Python object. Calls take it as it is.
They need no GPU: the shapes of outputs can be asked for on any machine that has the library.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

from minidl.arrays.memory import Shape
from minidl.engines.cudnn import api
from minidl.engines.cudnn.library import CudnnError, cudnn
from minidl.engines.math import FLOAT32, Math


class Descriptor:
    """An object of the library of one `kind`: cudnnCreate{kind}Descriptor and so on."""

    kind, code = "", ""

    def __init__(self) -> None:
        library, self._as_parameter_ = cudnn(), api.POINTERS[self.code]()
        library.call(f"cudnnCreate{self.kind}Descriptor", ctypes.byref(self._as_parameter_))
        destroy = f"cudnnDestroy{self.kind}Descriptor"
        gone = weakref.finalize(self, library.status, destroy, self._as_parameter_)
        gone.atexit = False  # the end of the process frees it, too, and asks nothing of the library

    def _set(self, name: str, *args: Any) -> None:
        cudnn().call(f"cudnnSet{name}", self, *args)

    def _out(self, name: str, axes: int, *args: Any) -> Shape:
        """Ask cudnnGet{name}OutputDim for the extents along this many axes."""
        dims = api.ints([0] * axes)
        cudnn().call(f"cudnnGet{name}OutputDim", self, *args, axes, dims)
        return tuple(dims)


class Tensor(Descriptor):
    """An array, N C and its spatial axes (4 to 8 axes in all), in any order in memory.

    dims      its extents, in this order, regardless of the order in memory
    dtype     "float32", "float16" or "bfloat16"
    strides   in elements, for each axis
    """

    kind, code = "Tensor", "t"

    def __init__(
        self,
        dims: Sequence[int],
        dtype: str = "float32",
        order: str = "nchw",
        strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.dims, self.dtype = tuple(dims), dtype
        self.strides = tuple(strides or dense(self.dims, order))
        function = "TensorNdDescriptor"
        extents = (_ints(function, each) for each in (self.dims, self.strides))
        self._set(function, api.TYPES[dtype], len(self.dims), *extents)

    @property
    def nbytes(self) -> int:
        """Bytes from its first element to its last."""
        size = ctypes.c_size_t()
        cudnn().call("cudnnGetTensorSizeInBytes", self, ctypes.byref(size))
        return size.value


class Statistics(Tensor):
    """The mean, variance, scale or shift of each channel of `x`: 1 C 1 1, in float32."""

    def __init__(self, x: Tensor, mode: int = api.BATCHNORM_SPATIAL) -> None:
        Descriptor.__init__(self)
        cudnn().call("cudnnDeriveBNTensorDescriptor", self, x, mode)
        dtype, axes = ctypes.c_int(), ctypes.c_int()
        dims, strides = (api.ints([0] * api.MAX_AXES) for _ in range(2))
        out = (ctypes.byref(dtype), ctypes.byref(axes), dims, strides)
        cudnn().call("cudnnGetTensorNdDescriptor", self, api.MAX_AXES, *out)
        self.dims, self.strides = (tuple(each[: axes.value]) for each in (dims, strides))
        self.dtype = next(name for name, number in api.TYPES.items() if number == dtype.value)


class Filter(Descriptor):
    """The filters of a convolution, dense: outputs, inputs of a group, and the kernel's axes.

    order   "nchw", as Caffe stores them; "nhwc": the inputs behind the kernel's axes
    """

    kind, code = "Filter", "w"

    def __init__(self, dims: Sequence[int], dtype: str = "float32", order: str = "nchw") -> None:
        super().__init__()
        self.dims, self.dtype, self.order = tuple(dims), dtype, order
        name = "FilterNdDescriptor"
        extents = _ints(name, self.dims)
        self._set(name, api.TYPES[dtype], api.ORDERS[order], len(self.dims), extents)


class Convolution(Descriptor):
    """The geometry of a convolution: one number for each spatial axis (two at least).

    group   number of groups that channels and filters fall into
    math    of the request. Sums are in float32 in any case
    """

    kind, code = "Convolution", "c"

    def __init__(
        self,
        pad: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
        group: int = 1,
        math: Math = FLOAT32,
    ) -> None:
        super().__init__()
        name = "ConvolutionNdDescriptor"
        geometry = (_ints(name, each) for each in (pad, stride, dilation))
        self._set(name, len(pad), *geometry, api.CROSS_CORRELATION, api.FLOAT)
        self._set("ConvolutionGroupCount", group)
        self._set("ConvolutionMathType", api.MATH[math.products])

    def out(self, x: Tensor, filters: Filter) -> Shape:
        """Return the top's extents for the bottom `x`."""
        return self._out("ConvolutionNdForward", len(x.dims), x, filters)


class Pooling(Descriptor):
    """The geometry of a pooling: one number for each spatial axis (two or three).

    mode   api.POOLING_...
    nan    whether a NaN in a window wins; otherwise it counts as the smallest of all numbers
    """

    kind, code = "Pooling", "p"

    def __init__(
        self,
        mode: int,
        kernel: Sequence[int],
        pad: Sequence[int],
        stride: Sequence[int],
        nan: bool = True,
    ) -> None:
        super().__init__()
        name = "PoolingNdDescriptor"
        geometry = (_ints(name, each) for each in (kernel, pad, stride))
        self._set(name, mode, int(nan), len(kernel), *geometry)

    def out(self, x: Tensor) -> Shape:
        """Return the top's extents for the bottom `x`: whole windows only."""
        return self._out("PoolingNdForward", len(x.dims), x)


class LRN(Descriptor):
    """y = x * (k + alpha / size * sum of x**2 over `size` neighbours)**-beta.

    alpha   Caffe's; that of `ops.LRN` is already divided by `size`
    """

    kind, code = "LRN", "n"

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self._set("LRNDescriptor", size, alpha, beta, k)


class Activation(Descriptor):
    """An element-wise function: api.ACTIVATION_...; `nan`: whether relu passes NaN on."""

    kind, code = "Activation", "a"

    def __init__(self, mode: int, nan: bool = True) -> None:
        super().__init__()
        self._set("ActivationDescriptor", mode, int(nan), 0.0)


def dense(dims: Sequence[int], order: str = "nchw") -> Shape:
    """Return strides without gaps: the last axis varies fastest, or ("nhwc") the channels.

    >>> dense((2, 3, 5, 7)), dense((2, 3, 5, 7), "nhwc")
    ((105, 35, 7, 1), (105, 1, 21, 3))
    """
    fastest_first = list(range(len(dims)))[::-1]
    if order == "nhwc":
        fastest_first = [1, *(axis for axis in fastest_first if axis != 1)]
    strides, step = [0] * len(dims), 1
    for axis in fastest_first:
        strides[axis], step = step, step * dims[axis]
    return tuple(strides)


def _ints(name: str, values: Sequence[int]) -> ctypes.Array[ctypes.c_int]:
    """Call `api.ints`; CudnnError for a number too large for the library."""
    try:
        return api.ints(values)
    except OverflowError as error:
        raise CudnnError(f"cudnnSet{name}", -1, str(error), unsupported=True) from None
