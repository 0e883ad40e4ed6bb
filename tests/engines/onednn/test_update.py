"""The fused SGD update against its definition in float64."""

import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import CPU
from minidl.engines.onednn import library, update
from minidl.engines.request import Declined
from minidl.engines.update import Step, Stretch
from minidl.errors import RunError
from minidl.solver import rules
from minidl.solver import updater as updaters

HALF_ULP = 2.0**-24  # the relative error of one rounding to float32
TINY = 2.0**-126  # the smallest number whose rounding is relative


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    """So that a few hundred elements are several pieces and a rest."""
    monkeypatch.setattr(update, "PIECE", 50)


def numbers(count, seed=0, scales=(1.0, 1.0, 1.0)):
    """w, g and h, signed, each of its own size, one float32 off the alignment of a cache line."""
    rng = np.random.default_rng(seed)
    found = []
    for scale in scales:
        array = CPU.zeros((count + 1,), np.float32)[1:]
        array[:] = rng.standard_normal(count) * scale
        found.append(array)
    return found


def made(engine, momentum, arrays, threads=2):
    library.dnnl().set_threads(threads)
    found = update.sgd(momentum, *arrays)
    assert not isinstance(found, Declined), found.reason
    return found


factors = st.floats(2.0**-20, 4.0) | st.just(0.0)
sizes = st.sampled_from([2.0**-20, 2.0**-7, 1.0, 2.0**10])


@given(
    count=st.integers(1, 330),
    momentum=st.floats(0, 1),
    on_g=factors,
    on_w=factors,
    scales=st.tuples(sizes, sizes, sizes),
)
@settings(max_examples=80, deadline=None)
def test_it_is_the_definition_to_four_roundings(engine, count, momentum, on_g, on_w, scales):
    """Each of three terms is rounded as a factor, as a product and in two sums; w once more."""
    arrays = w, g, h = numbers(count, scales=scales)
    w0, g0, h0 = (a.astype(np.float64) for a in arrays)
    made(engine, momentum, arrays)(on_g, on_w)
    terms = momentum * h0, on_g * g0, on_w * w0
    allowed = 4.01 * HALF_ULP * sum(map(abs, terms)) + 8 * TINY
    assert (abs(h - sum(terms)) <= allowed).all()
    exact = w0 - h  # of the history as it is
    assert (abs(w - exact) <= HALF_ULP * abs(exact) + TINY).all()
    np.testing.assert_array_equal(g, g0)


@given(
    count=st.integers(1, 330),
    keep=st.floats(0, 0.9375),
    keep2=st.floats(0.5, 0.9990234375),
    on_g=factors,
    on_w=factors,
    rate=st.floats(2.0**-20, 1.0),
    scales=st.tuples(sizes, sizes, sizes, sizes),
)
@settings(max_examples=80, deadline=None)
def test_adam_is_its_definition(engine, count, keep, keep2, on_g, on_w, rate, scales):
    """Both means to a few roundings of each term; the step, to a few of what they ask for."""
    arrays = w, g, m, v = [*numbers(count, scales=scales[:3]), *numbers(count, 1, scales[3:])]
    np.abs(v, out=v)
    w0, g0, m0, v0 = (a.astype(np.float64) for a in arrays)
    library.dnnl().set_threads(2)
    update.adam(keep, keep2, 1e-3, *arrays)(on_g, on_w, rate)
    f = [on_g * g0, on_w * w0]
    terms = [keep * m0, *((1 - keep) * term for term in f)]
    assert (abs(m - sum(terms)) <= 8 * HALF_ULP * sum(map(abs, terms)) + 8 * TINY).all()
    exact = keep2 * v0 + (1 - keep2) * sum(f) ** 2
    allowed = 16 * HALF_ULP * (keep2 * v0 + (1 - keep2) * sum(map(abs, f)) ** 2)
    assert (abs(v - exact) <= allowed + 8 * TINY).all()
    step = rate * m.astype(np.float64) / (np.sqrt(v.astype(np.float64)) + 1e-3)
    assert (abs(w - (w0 - step)) <= HALF_ULP * (8 * abs(step) + 2 * abs(w0)) + 8 * TINY).all()
    np.testing.assert_array_equal(g, g0)


def test_new_factors_count_without_making_anything_anew(engine):
    arrays = w, g, h = numbers(120)
    step = made(engine, 0.5, arrays)
    for on_g, on_w in ((1.0, 0.0), (0.25, 0.5), (0.0, 0.0)):
        expected = 0.5 * h + on_g * g + on_w * w
        step(on_g, on_w)
        np.testing.assert_allclose(h, expected, atol=1e-6)


def test_pieces_and_threads_do_not_change_a_bit(engine, monkeypatch):
    results = []
    for piece, threads in ((1 << 17, 2), (1 << 17, 2), (1 << 17, 1), (50, 2), (7, 1), (33, 3)):
        monkeypatch.setattr(update, "PIECE", piece)
        arrays = w, _, h = numbers(1001)
        step = made(engine, 0.9, arrays, threads)
        for _ in range(3):
            step(0.01, 0.005)
        results.append(np.concatenate([w, h]).view(np.uint32))
    for one, other in pairwise(results):
        np.testing.assert_array_equal(one, other)


def test_a_piece_is_so_many_elements_for_each_thread(engine, monkeypatch):
    counts, of = [], update._made
    monkeypatch.setattr(update, "_made", lambda n, *rest: counts.append(n) or of(n, *rest))
    made(engine, 0.9, numbers(330), threads=2)
    assert counts[::2] == counts[1::2] == [100, 100, 100, 30]  # of two operations each


def test_the_arrays_are_kept_as_long_as_they_are_worked_on(engine):
    arrays = numbers(120)
    alive = [weakref.ref(a) for a in arrays]
    step = made(engine, 0.9, arrays)
    del arrays
    gc.collect()
    assert all(ref() is not None for ref in alive)
    del step
    gc.collect()
    assert all(ref() is None for ref in alive)


def test_what_is_not_finite_stays_so(engine):
    arrays = w, g, _ = numbers(3)
    w[0], g[1] = np.inf, np.nan
    made(engine, 0.9, arrays)(0.1, 0.0)
    assert np.isfinite(w).tolist() == [False, False, True]


def test_after_a_fork_it_has_to_be_made_anew(engine, monkeypatch):
    step = made(engine, 0.9, numbers(120))
    monkeypatch.setattr(library, "generation", library.generation + 1)
    with pytest.raises(RunError, match="before a fork"):
        step(0.1, 0.1)
    made(engine, 0.9, numbers(120))(0.1, 0.1)


def test_it_declines_where_the_library_has_only_reference_code(engine, monkeypatch):
    monkeypatch.setattr(update, "favourite", lambda *args, **kwargs: None)
    update._made.cache_clear()
    answer = update.sgd(0.9, *numbers(3))
    update._made.cache_clear()
    assert isinstance(answer, Declined) and "reference code" in answer.reason


def test_it_takes_one_large_float32_stretch_under_sgd_and_l2(engine, monkeypatch):
    monkeypatch.setattr(update, "LARGE", 100)
    stretch, sgd = Stretch(0, 0, 100, 1, 1), Step("sgd")

    def declines(step=sgd, size=100, dtype=np.float32, stretches=(stretch,)):
        arrays = [CPU.zeros((size,), dtype) for _ in range(3)]
        return isinstance(engine.updater(step, arrays, stretches, 2), Declined)

    assert not declines()
    assert declines(step=Step("sgd", l1=True)) and declines(step=Step("nesterov"))
    assert declines(step=Step("adam", decoupled=True))
    assert declines(size=99) and declines(dtype=np.float64)
    assert declines(stretches=(stretch, stretch))


def test_its_factors_are_the_stretchs(engine, monkeypatch):
    monkeypatch.setattr(update, "LARGE", 1)
    arrays = w, g, h = numbers(60)
    expected = 0.5 * h + 0.1 * 2 * (0.25 * g + 0.3 * 4 * w)
    engine.updater(Step("sgd", momentum=0.5), arrays, [Stretch(0, 0, 60, 2, 4)], 2).run(
        0.1, 1.0, 0.25, 0.3, np.inf
    )
    np.testing.assert_allclose(h, expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ in the solver's hands


@given(
    rate=st.floats(2.0**-10, 1.0),
    scale=st.sampled_from([1.0, 0.5, 1 / 3]),
    decay=st.sampled_from([0.0, 0.0005, 0.25]),
    momentum=st.sampled_from([0.0, 0.75, 0.9]),
)
@settings(max_examples=30, deadline=None)
def test_a_step_is_that_of_array_code_to_ten_roundings(engine, rate, scale, decay, momentum):
    """Four for each term in the engine; in array code the momentum's takes three, a weight's six
    (factor, product, sum with g, product with the rate and its factor, sum) and a gradient's too.
    """
    p = schema.SolverParameter(momentum=momentum, weight_decay=decay)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "LARGE", 1)
        results = []
        for engines in ([engine], []):
            param = Param("w", (11, 30), Device(), np.float32)
            param.data[...], param.diff[...], h0 = (a.reshape(11, 30) for a in numbers(330))
            updater = updaters.Updater([param], rules.RULES["SGD"], engines)
            updater.history[0][...] = h0
            before = param.data.astype(np.float64)
            updater.apply(rate, scale, p)
            assert bool(updater._by_engine) == bool(engines)
            results.append((param.data.copy(), updater.history[0].copy()))
    terms = abs(momentum * h0), abs(rate * scale * param.diff), abs(rate * decay * before)
    allowed = 10.01 * HALF_ULP * sum(terms) + 16 * TINY
    (w, h), (w_array, h_array) = results
    assert (abs(h.astype(np.float64) - h_array) <= allowed).all()
    rounded = HALF_ULP * (abs(w) + abs(w_array))
    assert (abs(w.astype(np.float64) - w_array) <= allowed + rounded).all()
