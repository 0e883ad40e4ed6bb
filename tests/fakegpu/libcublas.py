"""libcublas.so as code finds it that calls it by ctypes: its C functions, done as cublas.py does.

Each has the arguments of cublas_api.h, whatever a caller takes them for, and hands them to Python.
Unlike CuPy's functions they may be captured.
"""

import ctypes
import functools
import itertools

from tests.fakegpu import machine as state
from tests.fakegpu.compiler import compiled

CODE = """
typedef long long Long;
typedef const void *In;

extern "C" {
int (*fake_create)(void **);
int (*fake_stream)(void *, void *);
int (*fake_workspace)(void *, void *, size_t);
int (*fake_gemm)(void *, int, int, int, int, int, In, In, int, int, Long, In, int, int, Long, In,
                 void *, int, int, Long, int, int);

int cublasCreate_v2(void **handle) { return fake_create(handle); }
int cublasSetStream_v2(void *handle, void *stream) { return fake_stream(handle, stream); }
int cublasSetWorkspace_v2(void *handle, void *room, size_t size)
{
    return fake_workspace(handle, room, size);
}
int cublasGemmEx(void *handle, int ta, int tb, int m, int n, int k, In alpha, In a, int kind_a,
                 int lda, In b, int kind_b, int ldb, In beta, void *c, int kind_c, int ldc,
                 int compute, int algorithm)
{
    (void)algorithm;
    return fake_gemm(handle, ta, tb, m, n, k, alpha, a, kind_a, lda, 0, b, kind_b, ldb, 0, beta, c,
                     kind_c, ldc, 0, 1, compute);
}
int cublasGemmStridedBatchedEx(void *handle, int ta, int tb, int m, int n, int k, In alpha, In a,
                               int kind_a, int lda, Long step_a, In b, int kind_b, int ldb,
                               Long step_b, In beta, void *c, int kind_c, int ldc, Long step_c,
                               int count, int compute, int algorithm)
{
    (void)algorithm;
    return fake_gemm(handle, ta, tb, m, n, k, alpha, a, kind_a, lda, step_a, b, kind_b, ldb, step_b,
                     beta, c, kind_c, ldc, step_c, count, compute);
}
}
"""
NOT_INITIALIZED, INVALID_VALUE, EXECUTION_FAILED = 1, 7, 13

_I, _L, _P, _Z = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p, ctypes.c_size_t
_CALLS = {
    "fake_create": ctypes.CFUNCTYPE(_I, ctypes.POINTER(_P)),
    "fake_stream": ctypes.CFUNCTYPE(_I, _P, _P),
    "fake_workspace": ctypes.CFUNCTYPE(_I, _P, _P, _Z),
    "fake_gemm": ctypes.CFUNCTYPE(
        _I, _P, *[_I] * 5, _P, _P, _I, _I, _L, _P, _I, _I, _L, _P, _P, _I, _I, _L, _I, _I
    ),
}
_numbers = itertools.count(0x6100_0000)


def _create(handle):
    from tests.fakegpu.cublas import Settings

    machine = state.current()
    machine.refuse_while_capturing("cublasCreate")
    number = next(_numbers)
    machine.blas[number] = Settings(machine.device)
    handle[0] = number


def _stream(handle, stream):
    """Which it is; this also takes the workspace away again, as NVIDIA's manual says."""
    settings = state.current().blas[handle]
    settings.stream, settings.workspace = stream or 0, 0


def _workspace(handle, room, size):
    machine = state.current()
    machine.heap.bytes(room, size, "cublasSetWorkspace")
    assert room % 256 == 0, "a workspace has to start at a multiple of 256 bytes"
    machine.blas[handle].workspace = size


def _gemm(handle, *arguments):
    from tests.fakegpu.cublas import gemm

    machine = state.current()
    settings = machine.blas[handle]
    assert settings.device == machine.device, "the handle is that of another device"
    assert settings.stream == machine.stream.ptr, "the handle is bound to another stream"
    machine_free = machine.stream.is_capturing() and not settings.workspace
    assert not machine_free, "recorded without a workspace, it would allocate in every launch"
    gemm("libcublas's gemm", settings, *(argument or 0 for argument in arguments))


_WORK = {
    "fake_create": _create,
    "fake_stream": _stream,
    "fake_workspace": _workspace,
    "fake_gemm": _gemm,
}
errors = []  # what went wrong in calls, the last one at the end: C has only a number for it


def _called(work):
    """The same as C calls it: a status, and nothing is raised."""

    def call(*arguments):
        try:
            work(*arguments)
            return 0
        except KeyError:
            return NOT_INITIALIZED
        except BaseException as error:
            errors.append(error)
            return EXECUTION_FAILED

    return call


@functools.cache
def path():
    """Of the shared library, whose calls come here."""
    library, _ = compiled(CODE, ())
    for name, kind in _CALLS.items():
        _kept.append(kind(_called(_WORK[name])))
        ctypes.c_void_p.in_dll(library, name).value = ctypes.cast(_kept[-1], _P).value
    return library._name


_kept = []  # functions that C has a pointer to
