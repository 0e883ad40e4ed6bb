"""The fake's arrays: they compute what NumPy computes, and refuse what CuPy refuses."""

import copy
import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpys

from tests import fakegpu


@pytest.fixture
def cp(gpu):
    import cupy

    return cupy


@pytest.fixture
def pair(cp):
    """The same numbers as a NumPy and as a device array."""
    host = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
    return host, cp.asarray(host)


def test_values_go_there_and_come_back(gpu, pair):
    host, x = pair
    assert (gpu.h2d, gpu.h2d_bytes, gpu.allocations) == (1, 48, 1)
    np.testing.assert_array_equal(x.get(), host)
    assert (gpu.d2h, gpu.d2h_bytes, gpu.syncs) == (1, 48, 1)


EXPRESSIONS = {
    "arithmetic": lambda xp, x: (2 - x) * x / (x + 3.5) ** 2,
    "a NumPy scalar from the left": lambda xp, x: np.float32(2) * x,
    "comparison": lambda xp, x: (x > np.float32(0)) | (x == x) & ~(x <= -1),
    "views": lambda xp, x: x.T[1:, ::-1].reshape(-1)[None, 2:],
    "one element": lambda xp, x: x[1, -1],
    "reductions": lambda xp, x: x.sum(axis=0, keepdims=True) + x.max() - xp.mean(x, axis=(0, 1)),
    "products": lambda xp, x: (x @ x.T) + xp.dot(x, x.T) + xp.einsum("ij,kj->ik", x, x),
    "gathering": lambda xp, x: xp.take(x, xp.arange(3) * 2) + x[xp.arange(3), 1],
    "joining": lambda xp, x: xp.concatenate([x, xp.zeros_like(x)], axis=1),
    "choosing": lambda xp, x: xp.where(x > 0, x, xp.abs(x) + 1),
    "number types": lambda xp, x: x.astype("f2").astype("i4") // 2,
    "strides": lambda xp, x: xp.lib.stride_tricks.as_strided(x, (2, 2, 2), (16, 4, 8)) * 1,
    "in place": lambda xp, x: x.__iadd__(x).__imul__(3),
}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_it_computes_what_numpy_computes(cp, pair, expression):
    host, x = pair
    expected, got = expression(np, host.copy()), expression(cp, x)
    assert isinstance(got, cp.ndarray), "everything stays on the device, single numbers too"
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(got.get(), expected, rtol=1e-6)


@settings(max_examples=40)
@given(
    numpys.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=4),
    st.sampled_from(["add", "multiply", "maximum", "less", "true_divide"]),
    st.sampled_from(["f4", "f8", "i4", "?"]),
)
def test_elementwise_functions_broadcast_and_promote_as_numpys(shapes, name, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2, shape).astype(kind)
            for shape, kind in zip(shapes.input_shapes, ("f4", dtype), strict=True))  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        fakegpu.install(patch)
        import cupy as cp

        got = getattr(cp, name)(cp.asarray(a), cp.asarray(b))
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(a, b)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got.get(), expected)


REFUSED = {
    "device + host": (TypeError, lambda cp, x: x + np.ones(4, "f4")),
    "host + device": (TypeError, lambda cp, x: np.ones(4, "f4") + x),
    "host += device": (TypeError, lambda cp, x: np.ones((3, 4), "f4").__iadd__(x)),
    "a list": (TypeError, lambda cp, x: cp.add(x, [1, 2, 3, 4])),
    "comparison with the host": (TypeError, lambda cp, x: x == np.ones((3, 4), "f4")),
    "NumPy's functions": (TypeError, lambda cp, x: np.add(x, x)),
    "NumPy's reductions": (TypeError, lambda cp, x: np.linalg.norm(x)),
    "asarray": (TypeError, lambda cp, x: np.asarray(x)),
    "assigning from the host": (ValueError, lambda cp, x: x.__setitem__(..., np.ones((3, 4)))),
    "copyto from the host": (TypeError, lambda cp, x: cp.copyto(x, np.ones((3, 4), "f4"))),
    "out on the host": (TypeError, lambda cp, x: cp.add(x, x, out=np.ones((3, 4), "f4"))),
    "out of another shape": (ValueError, lambda cp, x: cp.add(1, x[0], out=x)),
    "out of another kind": (TypeError, lambda cp, x: cp.add(x, x, out=cp.empty((3, 4), "i4"))),
    "where": (TypeError, lambda cp, x: cp.add(x, 1, where=x > 0)),
    "maximum.reduce": (NotImplementedError, lambda cp, x: cp.maximum.reduce(x)),
    "einsum's out": (TypeError, lambda cp, x: cp.einsum("ij->i", x, out=x[:, 0])),
    "take's mode": (TypeError, lambda cp, x: cp.take(x, cp.arange(2), mode="clip")),
    "sum's initial": (TypeError, lambda cp, x: cp.sum(x, initial=0)),
    "bytes of another type": (TypeError, lambda cp, x: x.set(np.ones((3, 4)))),
    "strings": (ValueError, lambda cp, x: cp.asarray(["a"])),
    "a hash": (TypeError, lambda cp, x: hash(x)),
    "what only NumPy has": (AttributeError, lambda cp, x: cp.busday_count),
    "methods of NumPy's": (AttributeError, lambda cp, x: x.setflags),
    "ctypes": (AttributeError, lambda cp, x: x.ctypes),
    "the buffer": (TypeError, lambda cp, x: np.frombuffer(x)),
    "add.at into bytes": (TypeError, lambda cp, x: cp.add.at(x.view("i2"), cp.arange(2), 1)),
    "add.at into int64": (TypeError, lambda cp, x: cp.add.at(cp.arange(3), cp.arange(2), 1)),
    "take into another type": (TypeError, lambda cp, x: cp.take(x, cp.arange(2), out=cp.zeros(2))),
}


@pytest.mark.parametrize("error, call", REFUSED.values(), ids=REFUSED.keys())
def test_what_cupy_refuses_is_refused(cp, pair, error, call):
    with pytest.raises(error):
        call(cp, pair[1])


def test_an_array_of_another_device_is_refused(monkeypatch):
    fakegpu.install(monkeypatch, devices=2)
    import cupy as cp

    x = cp.zeros(3)
    with cp.cuda.Device(1), pytest.raises(ValueError, match="array device = 0 while current = 1"):
        x + 1
    assert cp.cuda.runtime.getDevice() == 0


WAITS = {
    "float": lambda cp, x: float(x.sum()),
    "bool": lambda cp, x: bool((x > 0).all()),
    "item": lambda cp, x: x[0, 0].item(),
    "get": lambda cp, x: x.get(),
    "mask": lambda cp, x: x[x > 0],
    "assigning by a mask": lambda cp, x: x.__setitem__(x > 0, 0),
    "nonzero": lambda cp, x: cp.nonzero(x),
    "bincount": lambda cp, x: cp.bincount(cp.zeros(3, int)),
    "unique": lambda cp, x: cp.unique(x),
    "synchronize": lambda cp, x: cp.cuda.Device().synchronize(),
    "printing": lambda cp, x: str(x),
}


@pytest.mark.parametrize("call", WAITS.values(), ids=WAITS.keys())
def test_what_waits_for_the_device_is_counted_and_can_be_forbidden(gpu, cp, pair, call):
    before = gpu.syncs
    call(cp, pair[1])
    assert gpu.syncs == before + 1
    with gpu.strict(transfers=False, allocations=False):
        with pytest.raises(fakegpu.Refused, match=r"syncs .*test_array\.py:\d+"):
            call(cp, pair[1])


def test_strictly_only_work_in_place_is_left(gpu, cp, pair):
    host, x = pair
    y, weights = cp.empty_like(x), cp.asarray([1.0, 2, 3, 4], "f4")
    with gpu.strict():
        cp.multiply(x, weights, out=y)
        y += 1
        y[:, 1:] -= x[:, :-1]
        cp.clip(y, -1, 1, out=y)
        cp.sum(y, axis=1, out=weights[:3])
        for what, call in {
            "allocations": lambda: x + 1,
            "h2d": lambda: weights.set(np.ones(4, "f4")),
            "d2h": lambda: x.get(),
        }.items():
            with pytest.raises(fakegpu.Refused, match=what):
                call()
    expected = host * [1, 2, 3, 4] + 1
    expected[:, 1:] -= host[:, :-1]
    np.testing.assert_allclose(weights.get()[:3], expected.clip(-1, 1).sum(1), rtol=1e-5)


MATRICES = {  # what CuPy copies on the way
    "two, one in columns": (lambda x: (x[0].T, x[1], x[2]), 0),
    "two, one with gaps": (lambda x: (x[0, :, ::2], x[1, :2], x[2]), 1),
    "batches": (lambda x: (x, x, x * 0), 0),
    "a batch in columns": (lambda x: (x.swapaxes(1, 2), x, x * 0), 1),
    "one for all of a batch": (lambda x: (x[:1], x, x * 0), 1),
    "a result with gaps": (lambda x: (x[0], x[1], (x * 0).reshape(4, 12)[:, ::3]), 1),
}


@pytest.mark.parametrize("make, copies", MATRICES.values(), ids=MATRICES.keys())
def test_products_take_memory_where_cupys_do(gpu, cp, make, copies):
    a, b, out = make(cp.arange(48, dtype="f4").reshape(3, 4, 4))
    before = gpu.allocations
    expected = a.get() @ b.get()
    cp.matmul(a, b, out=out)
    assert gpu.allocations == before + copies
    np.testing.assert_array_equal(out.get(), expected)


def test_an_operand_that_overlaps_the_result_is_copied_first(gpu, cp):
    """CuPy takes memory for it, unless operand and result are one Python object."""
    x = cp.arange(6, dtype="f4")
    with gpu.strict():
        cp.multiply(x, 2, out=x)
        with pytest.raises(fakegpu.Refused):
            cp.multiply(x[:], 2, out=x)
    cp.add(x[:-1], x[1:], out=x[1:])
    np.testing.assert_array_equal(x.get(), [0, 2, 6, 10, 14, 18])


def test_assigning_within_the_device(gpu, cp, pair):
    host, x = pair
    y = cp.empty_like(x)
    y[...] = x
    assert gpu.d2d == 1 and gpu.d2d_bytes == 48
    y[:, 1] = 7
    y[0] = x[1]
    y[cp.asarray([2, 2]), cp.asarray([0, 3])] = -1
    y[y > 5] = 0
    expected = host.copy()
    expected[:, 1], expected[0], expected[2, [0, 3]] = 7, host[1], -1
    expected[expected > 5] = 0
    np.testing.assert_array_equal(y.get(), expected)


def test_views_know_the_array_they_are_of_and_where_they_start(cp, pair):
    _, x = pair
    part = x[1:, 2:].T
    assert part.base is x and part[0].base is x and x.base is None
    assert part.data.ptr == x.data.ptr + 4 * (4 + 2)
    assert part.data.mem is x.data.mem
    again = cp.ndarray((4,), "f4", x.data + 16)
    np.testing.assert_array_equal(again.get(), x[1].get())


def test_places_added_to_twice_count_twice(cp):
    x = cp.zeros(3, "f4")
    cp.add.at(x, cp.asarray([0, 2, 2]), cp.asarray([1, 2, 3], "f4"))
    np.testing.assert_array_equal(x.get(), [1, 0, 5])


def test_a_number_is_copied_to_the_device_before_it_is_scattered(gpu, cp):
    x, places = cp.zeros(3, "f4"), cp.asarray([2, 0])
    for call in (lambda: x.__setitem__(places, 1), lambda: cp.add.at(x, places, 1)):
        before = gpu.h2d, gpu.allocations
        call()
        assert (gpu.h2d, gpu.allocations) == (before[0] + 1, before[1] + 1)
    np.testing.assert_array_equal(x.get(), [2, 0, 2])
    one = cp.ones((), "f4")
    with gpu.strict():
        x[places] = one
        cp.add.at(x, places, one)


def test_copies_are_their_own(cp, pair):
    host, x = pair
    for twin in (x.copy(), copy.copy(x), copy.deepcopy(x), x.astype("f4"), cp.array(x)):
        assert twin.data.ptr != x.data.ptr
        np.testing.assert_array_equal(twin.get(), host)
    assert cp.asarray(x) is x


def test_memory_is_aligned_new_and_not_zero(cp):
    x = cp.empty(5, "f4")
    assert x.data.ptr % 256 == 0
    assert np.isnan(x.get()).all()
    assert not cp.zeros(5).get().any()


def test_memory_is_given_back_and_runs_out(monkeypatch):
    gpu = fakegpu.install(monkeypatch, memory=1000)
    import cupy as cp

    x = cp.zeros(200, np.uint8)
    assert gpu.live == [200] and cp.cuda.runtime.memGetInfo() == (800, 1000)
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="allocating 900 bytes"):
        cp.zeros(900, np.uint8)
    view = x[10:]
    del x
    gc.collect()
    assert gpu.live == [200], "the view needs it"
    del view
    gc.collect()
    assert gpu.live == [0] and gpu.peak == [200]


def test_writing_outside_is_found(cp, gpu):
    x = cp.zeros(5, "u1")
    around = np.lib.stride_tricks.as_strided(x._np, (6,))
    around[5] = 1
    with pytest.raises(AssertionError, match=r"beyond the end of 5 bytes.*test_array"):
        gpu.check()
    np.lib.stride_tricks.as_strided(x._np, (2,), (-1,))[1] = 1
    del around, x
    gc.collect()
    with pytest.raises(AssertionError, match="before the start of 5 bytes"):
        gpu.check()


def test_only_pinned_memory_of_the_host_counts_as_pinned(cp):
    import cupyx

    from tests.fakegpu.memory import is_pinned

    pinned = cupyx.empty_pinned((2, 3), "f4")
    assert is_pinned(pinned.ctypes.data, pinned.nbytes)
    assert not is_pinned(np.empty(6).ctypes.data)
    raw = cp.cuda.alloc_pinned_memory(64)
    assert np.frombuffer(raw, np.float32, 16).ctypes.data == raw.ptr
