"""cuBLAS's products of matrices, by NumPy in float64 on the bytes behind the pointers.

Matrices are in columns: element (row, column) of one with leading dimension ld is number
row + column * ld. Inputs are rounded as the compute type says (TF32: 10 bits of fraction).
"""

import ctypes

import numpy as np

from tests.fakegpu import machine as state

OP_N, OP_T, OP_C = 0, 1, 2
POINTER_MODE_HOST, POINTER_MODE_DEVICE = 0, 1
DEFAULT_MATH, TENSOR_OP_MATH, PEDANTIC_MATH, TF32_TENSOR_OP_MATH = 0, 1, 2, 3
COMPUTE_16F, COMPUTE_32F, COMPUTE_32F_PEDANTIC = 64, 68, 69
COMPUTE_32F_FAST_16F, COMPUTE_32F_FAST_16BF, COMPUTE_32F_FAST_TF32 = 74, 75, 77
COMPUTE_64F = 70
GEMM_DEFAULT, GEMM_DEFAULT_TENSOR_OP = -1, 99
R_32F, R_64F, R_16F, R_16BF = 0, 1, 2, 14

# What a compute type takes: (inputs, result). From the table of cublasGemmEx in NVIDIA's manual.
_SINGLE = {(R_32F, R_32F), (R_16F, R_16F), (R_16F, R_32F), (R_16BF, R_16BF), (R_16BF, R_32F)}
TYPES = {
    COMPUTE_16F: {(R_16F, R_16F)},
    COMPUTE_32F: _SINGLE,
    COMPUTE_32F_PEDANTIC: _SINGLE,
    COMPUTE_32F_FAST_16F: {(R_32F, R_32F)},
    COMPUTE_32F_FAST_16BF: {(R_32F, R_32F)},
    COMPUTE_32F_FAST_TF32: {(R_32F, R_32F)},
    COMPUTE_64F: {(R_64F, R_64F)},
}
STORED = {R_32F: np.float32, R_64F: np.float64, R_16F: np.float16, R_16BF: np.uint16}
SCALAR = {COMPUTE_16F: np.float16, COMPUTE_64F: np.float64}  # type of alpha, beta; else float32


class CUBLASError(RuntimeError):
    """CuPy's: the status of a call."""


HANDLES = 0x6000_0000  # the handle of device 0


def get_cublas_handle():
    """One for each device; making the first takes time and memory, so not while capturing."""
    machine = state.current()
    if machine.device not in machine.blas:
        machine.refuse_while_capturing("cublasCreate")
        machine.blas[machine.device] = Settings(machine.device)
    return HANDLES + machine.device


def refuse_capture():
    """What all functions of CuPy's that use cuBLAS do; the capture goes on."""
    if state.current().stream.is_capturing():
        raise NotImplementedError(
            "calling cuBLAS API during stream capture is currently unsupported"
        )


class Settings:
    """What is set on one handle."""

    def __init__(self, device):
        self.math, self.pointers, self.stream = DEFAULT_MATH, POINTER_MODE_HOST, 0
        self.device, self.workspace = device, 0


def _settings(handle):
    machine = state.current()
    device = handle - HANDLES
    if device not in machine.blas:
        raise CUBLASError("CUBLAS_STATUS_NOT_INITIALIZED: no handle of get_cublas_handle()")
    if device != machine.device:
        raise CUBLASError("the handle is that of another device than the current one")
    return machine.blas[device]


def setMathMode(handle, mode):
    _settings(handle).math = mode


def getMathMode(handle):
    return _settings(handle).math


def setPointerMode(handle, mode):
    _settings(handle).pointers = mode


def getPointerMode(handle):
    return _settings(handle).pointers


def setStream(handle, stream):
    _settings(handle).stream = stream


def getStream(handle):
    return _settings(handle).stream


def getVersion(handle):
    _settings(handle)
    return 130000


def sgemm(handle, transa, transb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc):
    tf32 = _settings(handle).math == TF32_TENSOR_OP_MATH
    compute = COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F
    _gemm("sgemm", handle, transa, transb, m, n, k, alpha, A, R_32F, lda, 0, B, R_32F, ldb, 0,
          beta, C, R_32F, ldc, 0, 1, compute)  # fmt: skip


def dgemm(handle, transa, transb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc):
    _gemm("dgemm", handle, transa, transb, m, n, k, alpha, A, R_64F, lda, 0, B, R_64F, ldb, 0,
          beta, C, R_64F, ldc, 0, 1, COMPUTE_64F)  # fmt: skip


def sgemmStridedBatched(handle, transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB,
                        beta, C, ldc, strideC, batchCount):  # fmt: skip
    tf32 = _settings(handle).math == TF32_TENSOR_OP_MATH
    compute = COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F
    _gemm("sgemmStridedBatched", handle, transa, transb, m, n, k, alpha, A, R_32F, lda, strideA,
          B, R_32F, ldb, strideB, beta, C, R_32F, ldc, strideC, batchCount, compute)  # fmt: skip


def gemmEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype,
           ldc, computeType, algo):  # fmt: skip
    _gemm("gemmEx", handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0,
          beta, C, Ctype, ldc, 0, 1, computeType)  # fmt: skip


def gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA,
                         B, Btype, ldb, strideB, beta, C, Ctype, ldc, strideC,
                         batchCount, computeType, algo):  # fmt: skip
    _gemm("gemmStridedBatchedEx", handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA,
          B, Btype, ldb, strideB, beta, C, Ctype, ldc, strideC, batchCount,
          computeType)  # fmt: skip


def sgemv(handle, trans, m, n, alpha, A, lda, x, incx, beta, y, incy):
    """y = alpha * op(A) x + beta * y, A of m rows and n columns."""
    if incx != 1 or incy != 1:
        raise NotImplementedError("the fake's sgemv takes vectors without gaps")
    rows, columns = (n, m) if trans else (m, n)
    _gemm("sgemv", handle, trans, OP_N, rows, 1, columns, alpha, A, R_32F, lda, 0,
          x, R_32F, columns, 0, beta, y, R_32F, rows, 0, 1, COMPUTE_32F)  # fmt: skip


def _gemm(name, handle, *arguments):
    refuse_capture()
    gemm(name, _settings(handle), *arguments)


def gemm(name, settings, transa, transb, m, n, k, alpha, A, Atype, lda, strideA,
         B, Btype, ldb, strideB, beta, C, Ctype, ldc, strideC, batch, compute):  # fmt: skip
    machine = state.current()
    for value in (transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} takes integers and addresses, got {type(value).__name__}")
    if Atype != Btype or (Atype, Ctype) not in TYPES.get(compute, ()):
        raise CUBLASError(
            f"CUBLAS_STATUS_NOT_SUPPORTED: {name} of types {Atype}, {Btype} -> {Ctype}, "
            f"compute type {compute}"
        )
    if min(m, n, k) < 0 or batch < 0:
        raise CUBLASError(f"CUBLAS_STATUS_INVALID_VALUE: {name} of m {m}, n {n}, k {k}")
    shapes = [(m, k) if transa == OP_N else (k, m), (k, n) if transb == OP_N else (n, k), (m, n)]
    for letter, (rows, _), ld in zip("ABC", shapes, (lda, ldb, ldc), strict=True):
        if ld < max(1, rows):
            raise CUBLASError(
                f"CUBLAS_STATUS_INVALID_VALUE: {name}: {letter} has {rows} rows in each column, "
                f"but its leading dimension is {ld}"
            )
    if not m or not n or not batch:
        return
    scalar = SCALAR.get(compute, np.float32)
    factors = _factors(name, settings, (alpha, beta), scalar)
    math = settings.math

    def matrices(address, kind, ld, stride, shape, letter):
        """All matrices of a batch, as one array (batch, columns, rows) over the memory."""
        rows, columns = shape
        if not rows or not columns:
            return np.zeros((batch, columns, rows), STORED[kind]), None
        item = np.dtype(STORED[kind]).itemsize
        size = ((batch - 1) * stride + (columns - 1) * ld + rows) * item
        found = machine.heap.bytes(int(address), size, f"{name}: matrix {letter}")
        strides = (stride * item, ld * item, item)
        flat = found.view(STORED[kind])
        view = np.lib.stride_tricks.as_strided(flat, (batch, columns, rows), strides)
        return view, machine.heap.find(int(address))

    a, a_memory = matrices(A, Atype, lda, strideA, shapes[0], "A")
    b, b_memory = matrices(B, Btype, ldb, strideB, shapes[1], "B")
    c, c_memory = matrices(C, Ctype, ldc, strideC, shapes[2], "C")

    def run():
        on_product, on_old = factors()
        left, right = (_numbers(x, Atype, compute, math) for x in (a, b))
        left = left.swapaxes(1, 2) if transa == OP_N else left
        right = right.swapaxes(1, 2) if transb == OP_N else right
        product = on_product * (left @ right)
        if on_old:  # beta = 0: C is not read, and may hold NaN
            product += on_old * _numbers(c, Ctype, COMPUTE_32F, DEFAULT_MATH).swapaxes(1, 2)
        c[...] = _stored(product, Ctype).swapaxes(1, 2)

    machine.submit(run, *(x for x in (a_memory, b_memory, c_memory) if x is not None))


def _factors(name, settings, addresses, scalar):
    """A function that reads alpha and beta: now if in the host's memory, else at work."""
    size = np.dtype(scalar).itemsize
    machine = state.current()
    if settings.pointers == POINTER_MODE_HOST:
        for address in addresses:
            if machine.heap.find(int(address)) is not None:
                raise CUBLASError(f"{name}: a factor is in device memory, but pointer mode is HOST")
        read = [
            float(np.frombuffer(ctypes.string_at(int(address), size), scalar)[0])
            for address in addresses
        ]
        return lambda: read
    views = [machine.heap.bytes(int(address), size, f"{name}: a factor") for address in addresses]
    return lambda: [float(view.view(scalar)[0]) for view in views]


def _numbers(array, kind, compute, math):
    """As float64, with the precision in which they are multiplied."""
    if kind == R_16BF:
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if compute == COMPUTE_32F_FAST_TF32 or (
        kind == R_32F and compute == COMPUTE_32F and math == TF32_TENSOR_OP_MATH
    ):
        return rounded(array, 13).astype(np.float64)
    if compute == COMPUTE_32F_FAST_16BF:
        return rounded(array, 16).astype(np.float64)
    if compute == COMPUTE_32F_FAST_16F:
        return array.astype(np.float16).astype(np.float64)
    return array.astype(np.float64)


def rounded(array, bits):
    """float32 whose last `bits` bits are rounded away, to nearest, ties to even."""
    words = np.ascontiguousarray(array).view(np.uint32).astype(np.uint64)
    words = words + (1 << (bits - 1)) - 1 + (words >> bits & 1)
    return (words >> bits << bits).astype(np.uint32).view(np.float32)


def _stored(values, kind):
    with np.errstate(over="ignore"):
        if kind == R_16BF:
            return (rounded(values.astype(np.float32), 16).view(np.uint32) >> 16).astype(np.uint16)
        return values.astype(STORED[kind])


FUNCTIONS = {
    f.__name__: f
    for f in (
        setMathMode, getMathMode, setPointerMode, getPointerMode, setStream, getStream, getVersion,
        sgemm, dgemm, sgemmStridedBatched, gemmEx, gemmStridedBatchedEx, sgemv,
    )
}  # fmt: skip
CONSTANTS = {
    "CUBLAS_" + name: value
    for name, value in list(globals().items())
    if name.startswith(("OP_", "POINTER_MODE", "DEFAULT_MATH", "TENSOR_OP", "PEDANTIC", "TF32_",
                        "COMPUTE_", "GEMM_"))
}  # fmt: skip
