"""oneDNN's C interface, version 3, as far as minidl uses it: its numbers and its functions.

The names are those of dnnl_types.h and dnnl.h without their prefixes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

MAJOR = 3  # of the interface that all of this belongs to

SUCCESS, UNIMPLEMENTED = 0, 3
STATUS = {
    1: "out of memory",
    2: "invalid arguments",
    UNIMPLEMENTED: "not implemented",
    4: "no further implementation",
    5: "run-time error",
    6: "not required",
}

# Number types, with the bytes of one element
UNDEFINED, BF16, F32 = 0, 2, 3
TYPE_NAMES = {BF16: "bf16", F32: "f32"}
ITEMSIZE = {BF16: 2, F32: 4}
NUMBERS = {"bfloat16": BF16, "float32": F32}  # by the names in engines.math

CPU, IN_ORDER, FORMAT_ANY, SCRATCHPAD_USER = 1, 1, 1, 1

# Format tags of channels in blocks: number of axes -> size of a block -> tag
BLOCKED = {3: {8: 69, 16: 56}, 4: {8: 102, 16: 78}, 5: {8: 142, 16: 121}}

# Propagation kinds
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD, BACKWARD_DATA = 64, 96, 128, 160

# Algorithms
CONVOLUTION_DIRECT, DECONVOLUTION_DIRECT = 1, 10
ELTWISE_RELU, ELTWISE_TANH, ELTWISE_LOGISTIC = 32, 33, 41
ELTWISE_SQUARE, ELTWISE_SQRT, ELTWISE_LINEAR = 35, 37, 38
ELTWISE_RELU_FROM_DST, ELTWISE_TANH_FROM_DST, ELTWISE_LOGISTIC_FROM_DST = 256, 257, 260
POOLING_MAX, POOLING_AVG_INCLUDE_PADDING, POOLING_AVG_EXCLUDE_PADDING = 511, 767, 1023
LRN_ACROSS_CHANNELS, LRN_WITHIN_CHANNEL = 2815, 3071
SOFTMAX_ACCURATE = 196608
BINARY_ADD, BINARY_DIV, BINARY_SUB = 131056, 131060, 131061
USE_GLOBAL_STATS, USE_SCALE, USE_SHIFT, FUSE_NORM_RELU = 1, 2, 4, 8

# What an execution is given
SRC, SRC_1, DST, WEIGHTS, BIAS = 1, 2, 17, 33, 41
MEAN, VARIANCE, SCALE, SHIFT = 49, 50, 51, 52
WORKSPACE, SCRATCHPAD = 64, 80
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS = 129, 145, 161, 169
DIFF_SCALE, DIFF_SHIFT = 255, 256
MULTIPLE_SRC = 1024
SCALES = 4096  # + an argument: the number it is multiplied by

# What a primitive descriptor or a memory descriptor can be asked
QUERY_NAME, QUERY_EXEC_ARG = 8, 255
QUERY_STRIDES, QUERY_NDIMS, QUERY_DIMS, QUERY_TYPE = 14, 256, 257, 258
QUERY_INNER_COUNT, QUERY_INNER_BLOCKS, QUERY_INNER_AXES = 263, 264, 265

ISA_NAMES = {  # a chip has all those whose bits are among its own
    1: "sse41",
    3: "avx",
    7: "avx2",
    15: "avx2_vnni",
    31: "avx2_vnni_2",
    39: "avx512_core",
    103: "avx512_core_vnni",
    231: "avx512_core_bf16",
    495: "avx512_core_fp16",
    4079: "avx512_core_amx",
    8175: "avx512_core_amx_fp16",
}
ISA_BF16, ISA_AMX = 231, 4079

MAX_AXES = 12
Dims = ctypes.c_int64 * MAX_AXES


def dims(values: Iterable[int]) -> ctypes.Array[ctypes.c_int64]:
    """Return extents, strides or paddings as the library takes them."""
    return Dims(*values)


class Version(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
        ("patch", ctypes.c_int),
        ("hash", ctypes.c_char_p),
        ("cpu_runtime", ctypes.c_uint),
        ("gpu_runtime", ctypes.c_uint),
    ]


class Argument(ctypes.Structure):
    """One memory object of an execution, and what it is for (SRC, DST, ...)."""

    _fields_ = [("index", ctypes.c_int), ("memory", ctypes.c_void_p)]


# Arguments: p pointer, handle or array; i int, u unsigned; l int64; f float. They return a status
# unless RETURNS says otherwise.
SIGNATURES = {
    "engine_create": "pil",
    "stream_create": "ppu",
    "get_effective_cpu_isa": "",
    "memory_create": "pppp",
    "memory_destroy": "p",
    "memory_desc_create_with_strides": "pipip",
    "memory_desc_create_with_tag": "pipii",
    "memory_desc_create_submemory": "pppp",
    "memory_desc_reshape": "ppip",
    "memory_desc_clone": "pp",
    "memory_desc_destroy": "p",
    "memory_desc_equal": "pp",
    "memory_desc_get_size": "p",
    "memory_desc_permute_axes": "ppp",
    "memory_desc_query": "pip",
    "post_ops_create": "p",
    "post_ops_append_eltwise": "piff",
    "post_ops_append_sum": "pfii",
    "post_ops_destroy": "p",
    "primitive_attr_create": "p",
    "primitive_attr_destroy": "p",
    "primitive_attr_set_post_ops": "pp",
    "primitive_attr_set_scales_mask": "pii",
    "primitive_attr_set_scratchpad_mode": "pi",
    "primitive_desc_clone": "pp",
    "primitive_desc_destroy": "p",
    "primitive_desc_next_impl": "p",
    "primitive_desc_query": "piip",
    "primitive_desc_query_md": "pii",
    "primitive_create": "pp",
    "primitive_destroy": "p",
    "primitive_execute": "ppip",
    "batch_normalization_forward_primitive_desc_create": "ppippfup",
    "batch_normalization_backward_primitive_desc_create": "ppipppfupp",
    "binary_primitive_desc_create": "ppipppp",
    "concat_primitive_desc_create": "pppiipp",
    "convolution_forward_primitive_desc_create": "ppiippppppppp",
    "convolution_backward_data_primitive_desc_create": "ppippppppppp",
    "convolution_backward_weights_primitive_desc_create": "ppipppppppppp",
    "deconvolution_forward_primitive_desc_create": "ppiippppppppp",
    "deconvolution_backward_data_primitive_desc_create": "ppippppppppp",
    "deconvolution_backward_weights_primitive_desc_create": "ppipppppppppp",
    "eltwise_forward_primitive_desc_create": "ppiippffp",
    "eltwise_backward_primitive_desc_create": "ppipppffpp",
    "inner_product_forward_primitive_desc_create": "ppippppp",
    "inner_product_backward_data_primitive_desc_create": "ppppppp",
    "inner_product_backward_weights_primitive_desc_create": "pppppppp",
    "lrn_forward_primitive_desc_create": "ppiipplfffp",
    "lrn_backward_primitive_desc_create": "ppippplfffpp",
    "pooling_forward_primitive_desc_create": "ppiipppppppp",
    "pooling_backward_primitive_desc_create": "ppippppppppp",
    "reorder_primitive_desc_create": "pppppp",
    "softmax_forward_primitive_desc_create": "ppiippip",
    "softmax_backward_primitive_desc_create": "ppipppipp",
    "sum_primitive_desc_create": "pppippp",
}
RETURNS = {"memory_desc_get_size": ctypes.c_size_t, "primitive_desc_query_md": ctypes.c_void_p}
TYPES = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int,
    "u": ctypes.c_uint,
    "l": ctypes.c_int64,
    "f": ctypes.c_float,
}
