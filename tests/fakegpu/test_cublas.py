"""cuBLAS of the fake, against products in rows written out: C = A B is, in columns, C' = B' A'."""

import numpy as np
import pytest

from tests.fakegpu.cublas import rounded


@pytest.fixture
def cp(gpu):
    import cupy

    return cupy


@pytest.fixture
def blas(cp):
    from cupy_backends.cuda.libs import cublas

    return cublas


def factor(value, dtype="f4"):
    return np.full(1, value, dtype)


@pytest.mark.parametrize("transposed", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_sgemm_of_parts_of_matrices(cp, blas, transposed):
    m, n, k = 3, 4, 5
    rng = np.random.default_rng(1)
    shapes = [(k, m) if transposed[0] else (m, k), (n, k) if transposed[1] else (k, n), (m, n)]
    a, b, c = (np.asfortranarray(rng.standard_normal(shape), "f4") for shape in shapes)
    # Each within memory of two more rows: the leading dimension is not the number of rows.
    wide = [cp.zeros((x.shape[1], x.shape[0] + 2), "f4") for x in (a, b, c)]
    for memory, x in zip(wide, (a, b, c), strict=True):
        memory[:, : x.shape[0]] = cp.asarray(np.ascontiguousarray(x.T))
    alpha, beta = factor(2), factor(-0.5)
    handle = cp.cuda.device.get_cublas_handle()
    blas.sgemm(
        handle, *transposed, m, n, k, alpha.ctypes.data,
        wide[0].data.ptr, a.shape[0] + 2, wide[1].data.ptr, b.shape[0] + 2, beta.ctypes.data,
        wide[2].data.ptr, m + 2,
    )  # fmt: skip
    left, right = (x.T if t else x for x, t in zip((a, b), transposed, strict=True))
    result = wide[2].get()
    np.testing.assert_allclose(result[:, :m].T, 2 * left @ right - c / 2, rtol=1e-5)
    assert not result[:, m:].any(), "what lies between the columns stays"


def test_a_batch_of_half_precision(cp, blas):
    a = np.random.default_rng(2).standard_normal((2, 3, 4)).astype("f2")  # rows: A is 4 x 3 columns
    x, out = cp.asarray(a), cp.empty((2, 3, 3), "f4")
    one, zero = factor(1), factor(0)
    blas.gemmStridedBatchedEx(
        cp.cuda.device.get_cublas_handle(), blas.CUBLAS_OP_T, blas.CUBLAS_OP_N, 3, 3, 4,
        one.ctypes.data, x.data.ptr, 2, 4, 12, x.data.ptr, 2, 4, 12, zero.ctypes.data,
        out.data.ptr, 0, 3, 9, 2, blas.CUBLAS_COMPUTE_32F, blas.CUBLAS_GEMM_DEFAULT,
    )  # fmt: skip
    wide = a.astype("f8")
    np.testing.assert_allclose(out.get(), wide @ wide.swapaxes(1, 2), rtol=1e-6)


def one_number(cp, blas, value, compute, kind=0, dtype="f4"):
    """value * 1 in some precision."""
    x, y, out = (cp.asarray(np.array([v], dtype)) for v in (value, 1, np.nan))
    one, zero = factor(1), factor(0)
    blas.gemmEx(
        cp.cuda.device.get_cublas_handle(), 0, 0, 1, 1, 1, one.ctypes.data, x.data.ptr, kind, 1,
        y.data.ptr, kind, 1, zero.ctypes.data, out.data.ptr, kind, 1, compute, -1,
    )  # fmt: skip
    return out.get()[0]


def test_precisions_differ(cp, blas):
    value = np.float32(1 + 2**-10 + 2**-20)
    assert one_number(cp, blas, value, blas.CUBLAS_COMPUTE_32F) == value
    assert one_number(cp, blas, value, blas.CUBLAS_COMPUTE_32F_FAST_TF32) == 1 + 2**-10
    assert one_number(cp, blas, value, blas.CUBLAS_COMPUTE_32F_FAST_16BF) == 1
    handle = cp.cuda.device.get_cublas_handle()
    blas.setMathMode(handle, blas.CUBLAS_TF32_TENSOR_OP_MATH)
    assert one_number(cp, blas, value, blas.CUBLAS_COMPUTE_32F) == 1 + 2**-10
    assert one_number(cp, blas, value, blas.CUBLAS_COMPUTE_32F_PEDANTIC) == value


def test_rounding_is_to_nearest_even():
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8 + 2**-20)], "f4")
    np.testing.assert_array_equal(rounded(values, 16), [1, 1 + 2**-6, -(1 + 2**-7)])


REFUSED = {
    "types that do not go together": dict(Ctype=2, error="NOT_SUPPORTED"),
    "a leading dimension too small": dict(lda=2, error="A has 3 rows .* dimension is 2"),
    "memory of the host": dict(A="host", error="cudaErrorIllegalAddress.*matrix A"),
    "a matrix too long for its memory": dict(n=9, error="cudaErrorIllegalAddress.*matrix B"),
    "a factor in device memory": dict(alpha="device", error="pointer mode is HOST"),
    "a handle of nobody": dict(handle=1, error="NOT_INITIALIZED"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_would_read_the_wrong_memory_is_refused(cp, blas, case):
    x, host, one = cp.zeros((3, 3), "f4"), np.zeros((3, 3), "f4"), factor(1)
    p, handle = x.data.ptr, cp.cuda.device.get_cublas_handle()
    given = dict(handle=handle, transa=0, transb=0, m=3, n=3, k=3, alpha=one.ctypes.data, A=p,
                 Atype=0, lda=3, B=p, Btype=0, ldb=3, beta=one.ctypes.data, C=p, Ctype=0, ldc=3,
                 computeType=blas.CUBLAS_COMPUTE_32F, algo=-1)  # fmt: skip
    changes = {"host": host.ctypes.data, "device": p}
    given |= {key: changes.get(value, value) for key, value in case.items() if key != "error"}
    with pytest.raises(RuntimeError, match=case["error"]):
        blas.gemmEx(**given)


def test_factors_in_device_memory_are_read_when_the_work_is_done(cp, blas, gpu):
    gpu.lazy = True
    handle = cp.cuda.device.get_cublas_handle()
    x, out, alpha, beta = ones(cp, 1), ones(cp, 1), ones(cp, 1), cp.zeros(1, "f4")
    stream, other = cp.cuda.Stream(), cp.cuda.Stream(non_blocking=True)
    blas.setPointerMode(handle, blas.CUBLAS_POINTER_MODE_DEVICE)
    with stream:
        blas.sgemm(handle, 0, 0, 1, 1, 1, alpha.data.ptr, x.data.ptr, 1, x.data.ptr, 1,
                   beta.data.ptr, out.data.ptr, 1)  # fmt: skip
    with other:
        alpha.fill(7)
        other.synchronize()
    assert out.item() == 7


@pytest.mark.parametrize("way", ["matmul", "gemmEx"])
def test_cupys_products_refuse_to_be_captured_and_the_capture_goes_on(cp, blas, way):
    handle = cp.cuda.device.get_cublas_handle()
    x, out, stream = ones(cp, 2, 2), ones(cp, 2, 2), cp.cuda.Stream()
    p, one = x.data.ptr, factor(1).ctypes.data
    calls = {
        "matmul": lambda: cp.matmul(x, x, out=out),
        "gemmEx": lambda: blas.gemmEx(
            handle, 0, 0, 2, 2, 2, one, p, 0, 2, p, 0, 2, one, out.data.ptr, 0, 2, 68, -1
        ),
    }
    with stream:
        stream.begin_capture()
        out += 1
        with pytest.raises(NotImplementedError, match="cuBLAS API during stream capture"):
            calls[way]()
        graph = stream.end_capture()
    graph.launch()
    np.testing.assert_array_equal(out.get(), 2)


def ones(cp, *shape):
    return cp.ones(shape, "f4")
