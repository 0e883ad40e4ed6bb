"""The update against Caffe's order of operations written out, element by element."""

import itertools

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import place
from minidl.engines.request import Declined
from minidl.engines.update import Update
from minidl.solver import updater as updaters
from minidl.solver.rules import RULES, Rule
from tests.solver.support import make as solver

SHAPES = [(5, 3), (7,), (2, 2, 3), ()]


def make(shapes=SHAPES, dtype=np.float64, lr=(1, 2, 0.5, 1), decay=(1, 0, 2, 1)):
    rng = np.random.default_rng(2)
    params = []
    for i, shape in enumerate(shapes):
        param = Param(f"p{i}", shape, Device(), dtype, lr[i], decay[i])
        param.data[...] = rng.standard_normal(shape)
        param.diff[...] = rng.standard_normal(shape)
        params.append(param)
    return params


def by_definition(params, steps, rate, scale, p):
    """W, h and the gradient of every parameter after so many updates with one gradient."""
    found = []
    for param in params:
        w, h = np.array(param.data, np.float64), np.zeros(param.shape)
        for _ in range(steps):
            g = param.diff * scale
            penalty = np.sign(w) if p.regularization_type == "L1" else w
            g = g + p.weight_decay * param.decay_mult * penalty
            h = p.momentum * h + rate * param.lr_mult * g
            w = w - h
        found.append((w, h, np.array(param.diff)))
    return found


CASES = {
    "plain": (1.0, dict()),
    "momentum": (1.0, dict(momentum=0.75)),
    "L2": (1.0, dict(momentum=0.75, weight_decay=0.25)),
    "L1": (1.0, dict(momentum=0.75, weight_decay=0.25, regularization_type="L1")),
    "scaled": (0.3, dict(momentum=0.5)),
    "scaled, L2": (0.3, dict(momentum=0.5, weight_decay=0.25)),
    "scaled, L1": (0.3, dict(weight_decay=0.25, regularization_type="L1")),
    "clipped to nothing": (0.0, dict(momentum=0.5, weight_decay=0.25)),
}


def in_pieces(monkeypatch, piece, threads=1):
    """Have parameters cut into pieces of so many elements, for so many threads."""
    monkeypatch.setattr(updaters, "PIECE", piece)
    monkeypatch.setattr(updaters, "THREADED_PIECE", piece)
    monkeypatch.setattr(updaters, "SHARE", 1)
    monkeypatch.setattr(updaters, "threads", lambda: threads)


@pytest.mark.parametrize("scale, fields", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("piece, threads", [(4, 1), (1 << 15, 1), (4, 3)])
def test_the_update_is_caffes(monkeypatch, scale, fields, piece, threads):
    in_pieces(monkeypatch, piece, threads)
    params, p = make(), schema.SolverParameter(**fields)
    expected = by_definition(params, 3, 0.5, scale, p)
    updater = updaters.Updater(params, RULES["SGD"])
    for _ in range(3):
        updater.apply(0.5, scale, p)
    for param, h, (w, history, g) in zip(params, updater.history, expected, strict=True):
        np.testing.assert_allclose(param.data, w, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(h, history, rtol=1e-13, atol=1e-15)
        np.testing.assert_array_equal(param.diff, g)  # gradients stay as they are


@pytest.mark.parametrize("scale, fields", CASES.values(), ids=CASES.keys())
def test_threads_and_pieces_do_not_change_a_bit(monkeypatch, scale, fields):
    results = []
    for piece, threads in ((1 << 15, 1), (4, 1), (4, 2), (3, 5)):
        in_pieces(monkeypatch, piece, threads)
        params = make([(40, 3), (70,), ()], np.float32)
        updater = updaters.Updater(params, RULES["SGD"])
        for _ in range(3):
            updater.apply(0.3, scale, schema.SolverParameter(**fields))
        results.append([p.data for p in params] + updater.history)
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


def test_every_thread_gets_about_as_much(monkeypatch):
    in_pieces(monkeypatch, 4, threads=3)
    updater = updaters.Updater(make([(50,), (7,), (41,), ()]), RULES["SGD"])
    updater.apply(1.0, 1.0, schema.SolverParameter())
    sizes = [sum(piece.w.size for piece in share) for share in updater._shares]
    assert sum(sizes) == 99 and max(sizes) - min(sizes) < 2 * 4  # less than two pieces
    rooms = [(share[0].finished, *share[0].scratch) for share in updater._shares]
    for a, b in itertools.combinations(itertools.chain(*rooms), 2):
        assert not np.shares_memory(a, b)


def test_a_small_net_wakes_up_no_thread(monkeypatch):
    monkeypatch.setattr(updaters, "threads", lambda: 8)
    monkeypatch.setattr(updaters.workers, "_pool", lambda: pytest.fail("asked for a thread"))
    params = make([(500, 800), (500,)], np.float32)  # LeNet's largest layer
    updaters.Updater(params, RULES["SGD"]).apply(0.1, 1.0, schema.SolverParameter())


def test_overflow_in_another_thread_is_as_quiet_as_in_this_one(monkeypatch):
    in_pieces(monkeypatch, 4, threads=2)
    (param,) = make([(40,)], np.float32)
    param.diff[...] = 1e38
    with np.errstate(all="ignore"):
        updaters.Updater([param], RULES["SGD"]).apply(10.0, 10.0, schema.SolverParameter())
    assert np.isinf(param.data).all()


class Backwards:
    """A layout that stores the elements in reverse, behind two of padding."""

    def __init__(self, shape):
        self.shape, self.nbytes = shape, 8 * int(np.prod(shape)) + 16

    def pack(self, plain, packed):
        packed[16:].view(np.float64)[...] = plain.reshape(-1)[::-1]

    def unpack(self, packed, plain):
        plain.reshape(-1)[...] = packed[16:].view(np.float64)[::-1]


def test_parameters_are_updated_where_an_engine_keeps_them():
    """The update before the first move, between moves and back gives what it gives in C order."""
    params, p = make(), schema.SolverParameter(momentum=0.75, weight_decay=0.25)
    expected = by_definition(params, 3, 0.5, 0.3, p)
    updater = updaters.Updater(params, RULES["SGD"])
    for layout in (None, Backwards(SHAPES[0]), None):
        params[0].arrange(layout)
        updater.apply(0.5, 0.3, p)
        assert params[0].values.memory.layout is layout
    for param, h, (w, history, _) in zip(params, updater.history, expected, strict=True):
        np.testing.assert_allclose(param.data, w, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(h, history, rtol=1e-13, atol=1e-15)


def test_history_is_read_and_written_in_c_order_wherever_it_lives():
    params, p = make(), schema.SolverParameter(momentum=0.5)
    updater = updaters.Updater(params, RULES["SGD"])
    params[0].arrange(Backwards(SHAPES[0]))
    updater.apply(0.5, 1.0, p)
    np.testing.assert_allclose(updater.history[0], 0.5 * params[0].read("diff"), rtol=1e-14)
    before = params[0].read().copy()
    updater.history[0][...] = steps = np.arange(15.0).reshape(5, 3)
    updater.apply(0.0, 1.0, p)
    np.testing.assert_allclose(before - params[0].read(), 0.5 * steps, atol=1e-14)


def test_a_gradient_that_was_changed_in_a_plain_array_is_the_one_that_counts():
    params, p = make(), schema.SolverParameter()
    params[0].arrange(Backwards(SHAPES[0]))
    before = params[0].read().copy()
    updater = updaters.Updater(params, RULES["SGD"])
    updater.apply(0.0, 1.0, p)
    norm = updater.gradient_norm()
    params[0].diff[...] *= 2  # as a hook may do between backward and update
    assert updater.gradient_norm() > 1.2 * norm
    params[0].diff[...] = 2
    updater.apply(0.5, 1.0, p)
    np.testing.assert_allclose(params[0].read(), before - 1, rtol=1e-14)


def test_a_gradient_that_counts_as_zero_is_zero():
    params, p = make(), schema.SolverParameter(weight_decay=0.25)
    before = params[0].read().copy()
    updater = updaters.Updater(params, RULES["SGD"])
    updater.apply(0.0, 1.0, p)
    params[0].gradient.fresh = True  # its memory still holds numbers
    updater.apply(1.0, 1.0, p)
    np.testing.assert_allclose(params[0].read(), 0.75 * before, rtol=1e-14)


def test_a_rule_may_keep_several_histories():
    def count(xp, w, g, state, rate, scratch, p):
        for i, history in enumerate(state):
            history += (i + 1) * g

    params = make()
    updater = updaters.Updater(params, Rule(2, count))
    updater.apply(1.0, 1.0, schema.SolverParameter())
    for i, history in enumerate(updater.history):  # all firsts, then all seconds
        np.testing.assert_array_equal(history, (1 + i // 4) * params[i % 4].diff)


def test_who_keeps_a_copy_of_the_weights_can_see_that_they_changed():
    params = make()
    before = [param.values.version for param in params]
    updaters.Updater(params, RULES["SGD"]).apply(0.1, 1.0, schema.SolverParameter())
    assert all(param.values.version != old for param, old in zip(params, before, strict=True))


@pytest.mark.parametrize("policy", ["scale", "clip"])
def test_under_larc_each_parameter_has_a_rate_by_its_norms(policy):
    p = schema.SolverParameter(
        momentum=0.75, weight_decay=0.25, larc=True, larc_policy=policy, larc_eta=0.5
    )
    params = make(shapes=[(5, 3), (7,), (2,), (2,)], lr=(2, 1, 1, 0), decay=(1, 0, 1, 1))
    params[0].diff[...] *= 10  # its own rate is below 0.04, the next one's above
    params[1].diff[...] *= 0.1
    params[2].data[...] = 0  # has no norm
    start = [np.array(param.data) for param in params]
    updaters.Updater(params, RULES["SGD"]).apply(0.04, 0.3, p)
    for param, w, decay in zip(params[:3], start, (1, 0, 1), strict=False):
        g = 0.3 * param.diff
        norms = np.sqrt((w**2).sum()), np.sqrt((g**2).sum())
        local = 0.5 * (1 - 0.75) * norms[0] / norms[1] if norms[0] else 1
        rate = min(0.04, local) if policy == "clip" else 0.04 * local
        np.testing.assert_allclose(param.data, w - rate * (g + 0.25 * decay * w), rtol=1e-6)
    assert (params[3].data == start[3]).all()


def test_the_sign_of_zero_is_zero_under_l1():
    (param,) = make([(3,)])
    param.data[...] = [0, -2, 3]
    param.diff[...] = 0
    p = schema.SolverParameter(weight_decay=1, regularization_type="L1")
    updaters.Updater([param], RULES["SGD"]).apply(1.0, 1.0, p)
    assert param.data.tolist() == [0, -1, 2]


def test_a_frozen_parameter_stands_still_without_a_look_at_its_gradient():
    params = make(lr=(1, 0, 1, 1))
    params[1].wanted = False
    params[1] = Param("p1", params[1].shape, Device(), np.float64, 0)
    params[1].wanted = False
    before = params[1].data.copy()
    updater = updaters.Updater(params, RULES["SGD"])
    updater.apply(0.5, 1.0, schema.SolverParameter(momentum=0.9, weight_decay=0.5))
    np.testing.assert_array_equal(params[1].data, before)
    assert not params[1].gradient.made  # nobody made it
    assert len(updater.history) == 4  # Caffe's files have an array for it all the same
    assert not updater.history[1].any()


def test_the_norm_is_over_all_gradients_together():
    params = make()
    norm = updaters.Updater(params, RULES["SGD"]).gradient_norm()
    together = np.concatenate([p.diff.reshape(-1) for p in params])
    assert norm == pytest.approx(np.linalg.norm(together), rel=1e-14)


def test_gradients_are_brought_down_to_a_norm_before_the_step():
    params, p = make(), schema.SolverParameter(momentum=0.75, weight_decay=0.25)
    norm = np.linalg.norm(np.concatenate([param.diff.reshape(-1) for param in params]))
    expected = by_definition(params, 1, 0.5, 0.3 * (1.5 / norm), p)
    found = updaters.Updater(params, RULES["SGD"]).apply(0.5, 0.3, p, clip=1.5)
    assert found.known and found.value == pytest.approx(norm, rel=1e-14)
    for param, (w, _, _) in zip(params, expected, strict=True):
        np.testing.assert_allclose(param.data, w, rtol=1e-13, atol=1e-15)


def test_a_norm_within_the_limit_changes_nothing_and_one_that_nobody_asked_for_is_not_looked_at():
    params, p = make(), schema.SolverParameter()
    expected = by_definition(params, 1, 0.5, 1.0, p)
    assert updaters.Updater(params, RULES["SGD"]).apply(0.5, 1.0, p, clip=1e9).value < 1e9
    for param, (w, _, _) in zip(params, expected, strict=True):
        np.testing.assert_array_equal(param.data, w)
    assert updaters.Updater(params, RULES["SGD"]).apply(0.0, 1.0, p) is None


def test_a_gradient_that_is_not_finite_moves_nothing_where_it_is_to_be_clipped():
    params = make()
    params[1].diff[3] = np.nan
    before = [param.data.copy() for param in params]
    found = updaters.Updater(params, RULES["SGD"]).apply(0.5, 1.0, schema.SolverParameter(), clip=1)
    assert np.isnan(found.value)
    for param, values in zip(params, before, strict=True):
        np.testing.assert_array_equal(param.data, values)


def test_new_arrays_are_followed():
    params, p = make(), schema.SolverParameter(momentum=0.5)
    updater = updaters.Updater(params, RULES["SGD"])
    updater.apply(0.5, 1.0, p)
    history = updater.history[0].copy()
    params[0].data, params[0].diff = np.zeros((5, 3)), np.ones((5, 3))
    updater.apply(0.5, 1.0, p)
    np.testing.assert_allclose(params[0].data, -(0.5 * history + 0.5), rtol=1e-14)


def test_a_transposed_array_is_taken_in_c_order():
    params, p = make(), schema.SolverParameter(momentum=0.5, weight_decay=0.5)
    values = np.ascontiguousarray(params[0].data.T).T
    expected = by_definition(params, 2, 0.5, 0.7, p)[0][0]
    params[0].values.write(values)
    updater = updaters.Updater(params, RULES["SGD"])
    for _ in range(2):
        updater.apply(0.5, 0.7, p)
    assert params[0].data.flags.c_contiguous
    np.testing.assert_allclose(params[0].data, expected, rtol=1e-13)


def test_float32_parameters_are_updated_in_float32():
    params = make(dtype=np.float32)
    updater = updaters.Updater(params, RULES["SGD"])
    updater.apply(0.1, 0.3, schema.SolverParameter(momentum=0.9, weight_decay=0.1))
    assert all(p.data.dtype == np.float32 for p in params)
    assert all(h.dtype == np.float32 for h in updater.history)


# ------------------------------------------------------------------ what an engine updates


class Fused:
    """An engine that does SGD as it is defined, and notes what it was asked for.

    least   elements that it takes;  whole: it takes all stretches at once, and clips
    """

    def __init__(self, declines=False, least=10, whole=False):
        self.declines, self.least, self.whole, self.generation = declines, least, whole, 0
        self.asked, self.steps = [], 0  # (momentum, elements, threads) of each updater; steps done

    def updater(self, step, arrays, stretches, threads):
        w, g, h = arrays
        if step.l1 or step.rule != "sgd" or w.size < self.least:
            return Declined("not that")
        if len(stretches) > 1 and not self.whole:
            return Declined("not at once")
        self.asked.append((step.momentum, w.size, threads))

        def run(rate, correction, scale, decay, clip):
            self.steps += 1
            norm = np.sqrt((g.astype(float) ** 2).sum())
            factor = scale * (min(1, clip / norm) if self.whole else 1)
            for _, start, size, lr_mult, decay_mult in stretches:
                a = slice(start, start + size)
                h[a] *= step.momentum
                h[a] += rate * lr_mult * (factor * g[a] + decay * decay_mult * w[a])
                w[a] -= h[a]
            return norm if self.whole and clip != np.inf else None

        return Declined("it has no time") if self.declines else Update(run, self.whole)


@pytest.mark.parametrize("declines", [False, True])
@pytest.mark.parametrize("name", [name for name in CASES if "L1" not in name])
def test_the_update_is_caffes_where_an_engine_does_it(monkeypatch, name, declines):
    monkeypatch.setattr(updaters, "threads", lambda: 2)
    (scale, fields), engine = CASES[name], Fused(declines)
    params, p = make(dtype=np.float32), schema.SolverParameter(**fields)
    expected = by_definition(params, 3, 0.5, scale, p)
    updater = updaters.Updater(params, RULES["SGD"], [engine])
    for _ in range(3):
        updater.apply(0.5, scale, p)
    for param, h, (w, history, g) in zip(params, updater.history, expected, strict=True):
        np.testing.assert_allclose(param.data, w, atol=2e-6)
        np.testing.assert_allclose(h, history, atol=2e-6)
        np.testing.assert_array_equal(param.diff, g)
    assert engine.asked == [(p.momentum, 12, 2), (p.momentum, 15, 2)]  # (2, 2, 3) and (5, 3)
    assert engine.steps == (0 if declines else 6)


@pytest.mark.parametrize("clip", [np.inf, 1.5])
def test_an_engine_that_takes_everything_at_once_clips_by_itself(clip):
    params, p = make(dtype=np.float32), schema.SolverParameter(momentum=0.75, weight_decay=0.25)
    norm = np.linalg.norm(np.concatenate([param.diff.reshape(-1) for param in params]))
    expected = by_definition(params, 1, 0.5, 0.3 * min(1, clip / norm), p)
    engine = Fused(whole=True)
    found = updaters.Updater(params, RULES["SGD"], [engine]).apply(0.5, 0.3, p, clip=clip)
    assert engine.steps == 1
    if clip == np.inf:
        assert found is None
    else:
        assert found.value == pytest.approx(norm, rel=1e-6) and not found.known
    for param, (w, _, _) in zip(params, expected, strict=True):
        np.testing.assert_allclose(param.data, w, atol=2e-6)


def test_an_engine_that_takes_one_stretch_after_the_other_does_not_clip_each_by_itself():
    p, results = schema.SolverParameter(momentum=0.5, larc=True, larc_eta=0.5), []
    for engines in ([], [Fused(whole=True, least=1)]):
        params = make(dtype=np.float32)
        found = updaters.Updater(params, RULES["SGD"], engines).apply(0.5, 1.0, p, clip=1.5)
        assert found.known and found.value > 1.5
        results.append([param.data for param in params])
    assert engines[0].steps == 4
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-6)


def test_neighbours_with_the_same_factors_are_one_stretch_unless_each_has_a_rate_of_its_own():
    def asked(**fields):
        params, engine = make(dtype=np.float32, lr=(1, 1, 2, 1), decay=(1, 1, 1, 1)), Fused(least=1)
        p = schema.SolverParameter(weight_decay=0.25, **fields)
        expected = by_definition(params, 2, 0.5, 0.3, p)
        updater = updaters.Updater(params, RULES["SGD"], [engine])
        for _ in range(2):
            updater.apply(0.5, 0.3, p)
        if not p.larc:
            for param, (w, _, _) in zip(params, expected, strict=True):
                np.testing.assert_allclose(param.data, w, atol=2e-6)
        return [elements for _, elements, _ in engine.asked]

    assert asked() == [1, 12, 16 + 15]  # 7 and 15, each from a multiple of 16 on
    assert asked(larc=True, momentum=0.5) == [1, 12, 7, 15]


def test_what_another_net_owns_is_updated_where_it_lies():
    """As where two solvers train nets that share weights."""
    params, p = make(), schema.SolverParameter(momentum=0.75, weight_decay=0.25)
    expected = by_definition(params, 3, 0.5, 0.3, p)
    updater = updaters.Updater(params, RULES["SGD"])
    updater.apply(0.5, 0.3, p)
    other = Param("other", (5, 3), Device(), np.float64)
    other.data[...], gradient = params[0].data, params[0].diff.copy()
    params[0].share(other, diff=False)
    params[0].borrowed = True
    params[0].diff[...] = gradient
    for _ in range(2):
        updater.apply(0.5, 0.3, p)
    assert updater.arena.segments[-1].param is params[1]
    np.testing.assert_allclose(other.data, expected[0][0], rtol=1e-13)
    for param, h, (w, history, _) in zip(params, updater.history, expected, strict=True):
        np.testing.assert_allclose(param.data, w, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(h, history, rtol=1e-13, atol=1e-15)


def test_the_first_engine_that_does_not_decline_does_it():
    engines = [Fused(declines=True), Fused(), Fused()]
    updater = updaters.Updater(make(dtype=np.float32), RULES["SGD"], engines)
    updater.apply(0.5, 1.0, schema.SolverParameter())
    assert [engine.steps for engine in engines] == [0, 2, 0]


def test_an_engine_starts_anew_only_where_what_it_was_made_for_has_changed():
    engine, params = Fused(least=15), make(dtype=np.float32)
    p = schema.SolverParameter(momentum=0.5, weight_decay=0.1)
    updater = updaters.Updater(params, RULES["SGD"], [engine])

    def made_anew():
        before = len(engine.asked)
        updater.apply(0.5, 0.5, p)
        return len(engine.asked) - before

    assert made_anew() == 1
    assert made_anew() == 0
    updater.apply(0.25, 1.0, schema.SolverParameter(momentum=0.5, weight_decay=0.2))
    assert len(engine.asked) == 1  # whatever the rate, the scale and the decay
    p.momentum = 0.75
    assert made_anew() == 1
    engine.generation += 1  # as after a fork
    assert made_anew() == 1
    params[0].values.move(place((5, 3), None, np.float32))
    assert made_anew() == 1


def test_a_solvers_update_is_by_the_engines_that_its_nets_may_use(engine):
    names = [e.name for e in solver().updater.engines]
    assert names == [name for name in ("onednn",) if name == engine]
    assert solver(engine="numpy").updater.engines == []
