"""Matrix products by cuBLAS, on matrices in C order, bound to their addresses."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidl.arrays.device import Device
from minidl.engines.cupy_kernels.cublas import cublas, missing
from minidl.engines.math import FLOAT32, Math
from minidl.engines.plan import Run, several

__all__ = ["ARITHMETIC", "ITEMSIZE", "NUMBER", "Matrix", "missing", "product"]

# cuBLAS's and CUDA's numbers for what they are told here (cublas_api.h, library_types.h).
KEEP, TRANSPOSE = 0, 1
COMPUTE_32F, COMPUTE_32F_FAST_TF32 = 68, 77
R_32F, R_16F, R_16BF = 0, 2, 14
DEFAULT_ALGORITHM = -1

# By `Math.products`: the type of the factors' elements, and how they are multiplied. What they are
# added up in, and the result, is float32 always.
ARITHMETIC = {
    "float32": (R_32F, COMPUTE_32F),
    "tf32": (R_32F, COMPUTE_32F_FAST_TF32),
    "float16": (R_16F, COMPUTE_32F),
    "bfloat16": (R_16BF, COMPUTE_32F),
}
ITEMSIZE = {"float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2}
# The type of an element, in CUDA.
NUMBER = {"float32": "float", "tf32": "float", "float16": "Half", "bfloat16": "Bfloat16"}

# cuBLAS reads its factors from addresses of the host, during the call.
_FACTORS = np.array([0.0, 1.0], np.float32)
_ZERO, _ONE = (_FACTORS[i:].ctypes.data for i in range(2))


@dataclass(frozen=True)
class Matrix:
    """A matrix of a batch, as it lies in memory.

    address   of the first element of the first one
    row       elements from one of its rows to the next
    steps     elements from one matrix to the next, for each axis of the batch: 0 repeats it
    """

    address: int
    row: int
    steps: tuple[int, ...] = ()


def product(
    device: Device,
    math: Math,
    shape: tuple[int, int, int],
    left: Matrix,
    right: Matrix,
    result: Matrix,
    *,
    transposed: tuple[bool, bool] = (False, False),
    batch: Sequence[int] = (),
    add: bool = False,
) -> Run:
    """Return a run that computes result = left right, or adds that to it, for a batch.

    math         see ARITHMETIC: the factors are arrays of that type, the result is float32
    shape        (m, n, k): left is m x k, right k x n, result m x n
    transposed   whether left, right lie transposed in memory: as k x m, n x k
    batch        the extents of the batch's axes. cuBLAS is called once for the longest, and as
                 often as the others say

    What is returned works in the device's stream and reads nothing but the device's memory, so it
    may be captured into a graph.
    """
    # One strided call covers one axis of a batch; the longest, so that calls are few.
    extents = list(batch) or [1]
    longest = extents.index(max(extents))
    others = [range(1 if axis == longest else extent) for axis, extent in enumerate(extents)]
    runs = [
        _strided(
            device,
            math,
            shape,
            [_at(matrix, index, longest, math) for matrix in (left, right)]
            + [_at(result, index, longest, FLOAT32)],
            transposed,
            extents[longest],
            add,
        )
        for index in itertools.product(*others)
    ]
    return several(runs)


def _at(matrix: Matrix, index: tuple[int, ...], axis: int, math: Math) -> tuple[int, int, int]:
    """Return (address, row, step along `axis`) of a matrix at an index of the batch."""
    steps = matrix.steps or (0,) * len(index)
    offset = sum(i * step for i, step in zip(index, steps, strict=True))
    return matrix.address + offset * ITEMSIZE[math.products], matrix.row, steps[axis]


def _strided(
    device: Device,
    math: Math,
    shape: tuple[int, int, int],
    matrices: list[tuple[int, int, int]],
    transposed: tuple[bool, bool],
    count: int,
    add: bool,
) -> Run:
    """Bind one call. cuBLAS has its matrices column by column, so it sees ours transposed, and
    result' = right' left' is what to ask of it."""
    kind, compute = ARITHMETIC[math.products]
    (m, n, k), beta = shape, _ONE if add else _ZERO
    (a, a_row, a_step), (b, b_row, b_step), (c, c_row, c_step) = matrices
    turns = (TRANSPOSE if transposed[1] else KEEP, TRANSPOSE if transposed[0] else KEEP)
    if count == 1:
        return cublas(device).bound(
            "cublasGemmEx",
            *(*turns, n, m, k, _ONE, b, kind, b_row, a, kind, a_row, beta),
            *(c, R_32F, c_row, compute, DEFAULT_ALGORITHM),
        )
    return cublas(device).bound(
        "cublasGemmStridedBatchedEx",
        *(*turns, n, m, k, _ONE, b, kind, b_row, b_step, a, kind, a_row, a_step, beta),
        *(c, R_32F, c_row, c_step, count, compute, DEFAULT_ALGORITHM),
    )
