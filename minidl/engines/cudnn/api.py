"""cuDNN's C interface as far as minidl uses it: its numbers, its structures, its functions.

The older, fixed-function part of it, which versions 8 and 9 share. The names are those of cudnn.h,
constants without their prefixes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

MAJORS = (9, 8)  # of the versions that all of this belongs to

SUCCESS = 0
MAX_AXES = 8

# Number types
FLOAT, HALF, BFLOAT16 = 0, 2, 9
TYPES = {"float32": FLOAT, "float16": HALF, "bfloat16": BFLOAT16}
ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}

NCHW, NHWC = 0, 1
ORDERS = {"nchw": NCHW, "nhwc": NHWC}

# How convolutions multiply. With float numbers DEFAULT_MATH lets an Ampere or newer chip round
# factors to TF32, and FMA_MATH does not.
DEFAULT_MATH, TENSOR_OP_MATH, TENSOR_OP_MATH_ALLOW_CONVERSION, FMA_MATH = 0, 1, 2, 3
MATH = {  # by `Math.products`
    "float32": FMA_MATH,
    "tf32": DEFAULT_MATH,
    "float16": TENSOR_OP_MATH,
    "bfloat16": TENSOR_OP_MATH,
}
CROSS_CORRELATION = 1  # what deep learning calls a convolution

# Algorithms of the three passes, in the order of their numbers
FORWARD_ALGORITHMS = (
    "implicit_gemm",
    "implicit_precomp_gemm",
    "gemm",
    "direct",
    "fft",
    "fft_tiling",
    "winograd",
    "winograd_nonfused",
)
BACKWARD_DATA_ALGORITHMS = ("algo0", "algo1", "fft", "fft_tiling", "winograd", "winograd_nonfused")
BACKWARD_FILTER_ALGORITHMS = (
    "algo0",
    "algo1",
    "fft",
    "algo3",
    "winograd",
    "winograd_nonfused",
    "fft_tiling",
)
NON_DETERMINISTIC, DETERMINISTIC = 0, 1

POOLING_MAX, POOLING_AVERAGE_COUNT_INCLUDE_PADDING = 0, 1
POOLING_AVERAGE_COUNT_EXCLUDE_PADDING, POOLING_MAX_DETERMINISTIC = 2, 3

ACTIVATION_SIGMOID, ACTIVATION_RELU, ACTIVATION_TANH, ACTIVATION_IDENTITY = 0, 1, 2, 5
ACTIVATIONS = {"sigmoid": ACTIVATION_SIGMOID, "relu": ACTIVATION_RELU, "tanh": ACTIVATION_TANH}

LRN_CROSS_CHANNEL_DIM1 = 0
LRN_MIN_N, LRN_MAX_N, LRN_MIN_K, LRN_MIN_BETA = 1, 16, 1e-5, 0.01

SOFTMAX_FAST, SOFTMAX_ACCURATE, SOFTMAX_LOG = 0, 1, 2
SOFTMAX_MODE_INSTANCE, SOFTMAX_MODE_CHANNEL = 0, 1

BATCHNORM_PER_ACTIVATION, BATCHNORM_SPATIAL, BATCHNORM_SPATIAL_PERSISTENT = 0, 1, 2


class Perf(ctypes.Structure):
    """What cuDNN reports of one algorithm for one convolution; 48 bytes.

    algo         its number: an index into FORWARD_ALGORITHMS or the like
    status       SUCCESS if it can do this convolution
    time         milliseconds as measured; -1 from a heuristic
    memory       bytes of workspace
    determinism  whether it gives the same bits every time
    mathType     how it multiplies
    """

    _fields_ = [
        ("algo", ctypes.c_int),
        ("status", ctypes.c_int),
        ("time", ctypes.c_float),
        ("memory", ctypes.c_size_t),
        ("determinism", ctypes.c_int),
        ("mathType", ctypes.c_int),
        ("reserved", ctypes.c_int * 3),
    ]


# Each kind of object is a pointer to a structure of its own, whose inside is the library's. So a
# pointer of one kind does not pass for another's, nor a number for either: ctypes refuses the call.
POINTERS: dict[str, Any] = {
    code: ctypes.POINTER(type(name, (ctypes.Structure,), {}))
    for code, name in {
        "h": "Context",
        "t": "TensorStruct",
        "w": "FilterStruct",
        "c": "ConvolutionStruct",
        "p": "PoolingStruct",
        "n": "LRNStruct",
        "a": "ActivationStruct",
    }.items()
}
ARGUMENTS: dict[str, Any] = {
    **POINTERS,  # h handle; descriptors: t tensor, w filters, c convolution, p pooling, n LRN, ...
    **{code.upper(): ctypes.POINTER(pointer) for code, pointer in POINTERS.items()},  # to a new one
    "x": ctypes.c_void_p,  # an address on the device: an int, or None
    "f": ctypes.POINTER(ctypes.c_float),  # a factor, in the host's memory
    "i": ctypes.c_int,
    "u": ctypes.c_uint,
    "z": ctypes.c_size_t,
    "d": ctypes.c_double,
    "I": ctypes.POINTER(ctypes.c_int),  # an array, or one that is written
    "Z": ctypes.POINTER(ctypes.c_size_t),
    "R": ctypes.POINTER(Perf),  # an array of results
}

# Arguments by name; spaces only group them. They return a status unless RETURNS says otherwise.
SIGNATURES = {
    "cudnnGetVersion": "",
    "cudnnGetErrorString": "i",
    "cudnnCreate": "H",
    "cudnnSetStream": "hx",
    # Descriptors
    "cudnnCreateTensorDescriptor": "T",
    "cudnnSetTensorNdDescriptor": "t iiII",
    "cudnnGetTensorNdDescriptor": "t i IIII",
    "cudnnGetTensorSizeInBytes": "tZ",
    "cudnnDestroyTensorDescriptor": "t",
    "cudnnDeriveBNTensorDescriptor": "tti",
    "cudnnCreateFilterDescriptor": "W",
    "cudnnSetFilterNdDescriptor": "w iii I",
    "cudnnDestroyFilterDescriptor": "w",
    "cudnnCreateConvolutionDescriptor": "C",
    "cudnnSetConvolutionNdDescriptor": "c i III ii",
    "cudnnSetConvolutionGroupCount": "ci",
    "cudnnSetConvolutionMathType": "ci",
    "cudnnGetConvolutionNdForwardOutputDim": "ctw iI",
    "cudnnDestroyConvolutionDescriptor": "c",
    "cudnnCreatePoolingDescriptor": "P",
    "cudnnSetPoolingNdDescriptor": "p iii III",
    "cudnnGetPoolingNdForwardOutputDim": "pt iI",
    "cudnnDestroyPoolingDescriptor": "p",
    "cudnnCreateLRNDescriptor": "N",
    "cudnnSetLRNDescriptor": "n uddd",
    "cudnnDestroyLRNDescriptor": "n",
    "cudnnCreateActivationDescriptor": "A",
    "cudnnSetActivationDescriptor": "a iid",
    "cudnnDestroyActivationDescriptor": "a",
    # Which algorithms a convolution has: by a heuristic, by running them all, and what each needs
    "cudnnGetConvolutionForwardAlgorithm_v7": "h twct iIR",
    "cudnnGetConvolutionBackwardDataAlgorithm_v7": "h wtct iIR",
    "cudnnGetConvolutionBackwardFilterAlgorithm_v7": "h ttcw iIR",
    "cudnnFindConvolutionForwardAlgorithmEx": "h tx wx c tx iIR xz",
    "cudnnFindConvolutionBackwardDataAlgorithmEx": "h wx tx c tx iIR xz",
    "cudnnFindConvolutionBackwardFilterAlgorithmEx": "h tx tx c wx iIR xz",
    "cudnnGetConvolutionForwardWorkspaceSize": "h twct iZ",
    "cudnnGetConvolutionBackwardDataWorkspaceSize": "h wtct iZ",
    "cudnnGetConvolutionBackwardFilterWorkspaceSize": "h ttcw iZ",
    # What runs on the device
    "cudnnConvolutionForward": "h f tx wx c i xz f tx",
    "cudnnConvolutionBiasActivationForward": "h f tx wx c i xz f tx tx a tx",
    "cudnnConvolutionBackwardData": "h f wx tx c i xz f tx",
    "cudnnConvolutionBackwardFilter": "h f tx tx c i xz f wx",
    "cudnnConvolutionBackwardBias": "h f tx f tx",
    "cudnnAddTensor": "h f tx f tx",
    "cudnnPoolingForward": "h p f tx f tx",
    "cudnnPoolingBackward": "h p f tx tx tx f tx",
    "cudnnLRNCrossChannelForward": "h n i f tx f tx",
    "cudnnLRNCrossChannelBackward": "h n i f tx tx tx f tx",
    "cudnnSoftmaxForward": "h ii f tx f tx",
    "cudnnSoftmaxBackward": "h ii f tx tx f tx",
    "cudnnActivationForward": "h a f tx f tx",
    "cudnnActivationBackward": "h a f tx tx tx f tx",
    "cudnnBatchNormalizationForwardInference": "h i ff tx tx t xxxx d",
    "cudnnBatchNormalizationForwardTraining": "h i ff tx tx t xx d xx d xx",
    "cudnnBatchNormalizationBackward": "h i ffff tx tx tx t xxx d xx",
}
RETURNS: dict[str, Any] = {
    "cudnnGetVersion": ctypes.c_size_t,
    "cudnnGetErrorString": ctypes.c_char_p,
}
LAST_ERROR = "cudnnGetLastErrorString"  # from version 9 on: (char* buffer, size_t bytes)


def factor(value: float) -> ctypes._Pointer[ctypes.c_float]:
    """Return a factor as calls take it."""
    return ctypes.pointer(ctypes.c_float(value))


ONE, ZERO = factor(1.0), factor(0.0)


def ints(values: Iterable[int]) -> ctypes.Array[ctypes.c_int]:
    """Return extents, strides or paddings for C; OverflowError for one of more than 32 bits."""
    values = [int(value) for value in values]
    for value in values:
        if not -(2**31) <= value < 2**31:
            raise OverflowError(f"{value} does not fit into the 32 bits that cuDNN gives it")
    return (ctypes.c_int * len(values))(*values)
