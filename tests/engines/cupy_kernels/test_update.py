"""The step of all parameters at once, and the norm that clips it, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.engines.cupy_kernels.update import RULES, TOGETHER, FlatStep, GradientNorm
from minidl.engines.request import Declined
from minidl.engines.update import Step, Stretch
from minidl.solver import rules

ROUNDING = 2.0**-24  # of one operation, relative


class Net:
    """Arenas of parameters of these sizes, with gaps of zeros up to the next multiple of four."""

    def __init__(self, device, sizes, factors, step, histories=1):
        self.device, rng = device, np.random.default_rng(0)
        self.segments, self.parts, end = [], [], 0
        for size, (lr_mult, decay_mult) in zip(sizes, factors, strict=True):
            self.segments.append(Stretch(len(self.parts), end, size, lr_mult, decay_mult))
            self.parts.append(slice(end, end + size))
            end += -(-size // TOGETHER) * TOGETHER
        self.host = [np.zeros(end, np.float32) for _ in range(2 + histories)]
        for array in self.host:
            for part in self.parts:
                array[part] = rng.standard_normal(part.stop - part.start)
        if step.rule != "sgd":
            for array in self.host[2:]:
                np.abs(array, out=array)  # means of squares
        self.arenas = [device.zeros((end,), np.float32) for _ in self.host]
        for arena, values in zip(self.arenas, self.host, strict=True):
            device.write(arena, values)
        with device.current():
            self.step = FlatStep(device, step, self.arenas, self.segments)

    def values(self):
        return [self.device.to_host(arena) for arena in self.arenas]

    def check(self, rate, scale, momentum, decay, l1, factor=1.0):
        """w, g, h after one step from `host`: 12 roundings of each term at most."""
        w, g, h = self.values()
        np.testing.assert_array_equal(g, self.host[1])
        for part, segment in zip(self.parts, self.segments, strict=True):
            w0, g0, h0 = (array[part].astype(np.float64) for array in self.host)
            penalty = np.sign(w0) if l1 else w0
            own_rate = rate * segment.lr_mult
            terms = [
                momentum * h0,
                own_rate * scale * factor * g0,
                own_rate * decay * segment.decay_mult * penalty,
            ]
            allowed = 12 * ROUNDING * sum(map(abs, terms)) + 1e-37
            assert (abs(h[part] - sum(terms)) <= allowed).all()
            expected = w0 - sum(terms)
            assert (abs(w[part] - expected) <= allowed + 2 * ROUNDING * abs(expected)).all()
        gaps = np.ones(w.size, bool)
        for part in self.parts:
            gaps[part] = False
        assert not w[gaps].any() and not h[gaps].any()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    params=st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from([0.0, 1.0, 2.0]),
            st.sampled_from([0.0, 1.0, 3.0]),
        ),
        min_size=1,
        max_size=9,
    ),
    rate=st.floats(2.0**-10, 1.0),
    scale=st.sampled_from([1.0, 0.5, 1 / 3]),
    momentum=st.sampled_from([0.0, 0.9]),
    decay=st.sampled_from([0.0, 0.0005, 0.25]),
    l1=st.booleans(),
)
def test_every_parameter_takes_its_own_step(engine, params, rate, scale, momentum, decay, l1):
    sizes, factors = [p[0] for p in params], [p[1:] for p in params]
    net = Net(engine.device, sizes, factors, Step("sgd", l1=l1, momentum=momentum))
    with engine.device.current():
        net.step(rate, scale, decay)
    net.check(rate, scale, momentum, decay, l1)


MOMENTUM = Step("sgd", momentum=0.9)


@pytest.mark.parametrize("l1", [False, True])
@pytest.mark.parametrize("name", [name for name in rules.RULES if name != "SGD"])
def test_every_rule_is_that_of_array_code(engine, name, l1):
    rule = rules.RULES[name]
    p = schema.SolverParameter(momentum=0.9, momentum2=0.99, rms_decay=0.95, delta=1e-3)
    step = Step(
        rule.update.__name__, rule.decoupled, l1, p.momentum, p.momentum2, p.rms_decay, p.delta
    )
    factors = [(1.0, 1.0), (2.0, 0.0), (0.5, 3.0)]
    net = Net(engine.device, [5, 130, 64], factors, step, rule.histories)
    with engine.device.current():
        net.step(0.05, 0.5, 0.25, 0.75)
    found = net.values()
    for part, (lr_mult, decay_mult) in zip(net.parts, factors, strict=True):
        w, g, *state = (array[part].astype(np.float64) for array in net.host)
        penalty = 0.25 * decay_mult * (np.sign(w) if l1 else w)
        g = 0.5 * g + (0 if rule.decoupled else penalty)
        w -= 0.05 * lr_mult * penalty if rule.decoupled else 0
        room = [np.empty_like(w) for _ in range(rule.scratch)]
        rule.update(np, w, g, state, 0.05 * lr_mult * (0.75 if name[:4] == "Adam" else 1), room, p)
        for mine, theirs in zip([w, *state], [found[0], *found[2:]], strict=True):
            np.testing.assert_allclose(theirs[part], mine, rtol=4e-6, atol=2e-6)
    assert step.rule in RULES


@pytest.fixture
def net(engine):
    return Net(engine.device, [5, 130, 1, 64], [(1, 1), (2, 0), (0, 1), (1, 3)], MOMENTUM)


def test_a_step_is_one_launch(gpu, engine, net):
    with engine.device.current(), gpu.strict():
        before = gpu.launches
        net.step(0.1, 0.5, 0.25)
        assert gpu.launches == before + 1


def test_a_factor_on_the_device_multiplies_the_gradient(engine, net):
    factor = engine.device.zeros((3,), np.float32)
    engine.device.write(factor, [9.0, 0.25, 9.0])
    with engine.device.current():
        net.step(0.1, 0.5, 0.25, factor_address=engine.device.address(factor) + 4)
    net.check(0.1, 0.5, 0.9, 0.25, False, factor=0.25)


def test_every_call_takes_its_own_rate(engine, net):
    with engine.device.current():
        for rate in (0.0, 0.5):
            for arena, values in zip(net.arenas, net.host, strict=True):
                engine.device.write(arena, values)
            net.step(rate)
            net.check(rate, 1.0, 0.9, 0.0, False)


def test_without_decay_a_weight_that_is_not_finite_stays_alone(engine):
    net = Net(engine.device, [8], [(1, 0)], MOMENTUM)
    net.host[0][3] = np.inf
    engine.device.write(net.arenas[0], net.host[0])
    with engine.device.current():
        net.step(0.1, decay=0.25)
    w, _, h = net.values()
    assert np.isfinite(h).all() and np.isinf(w).tolist() == [i == 3 for i in range(8)]


@pytest.mark.parametrize("starts, size", [([0, 6], 12), ([4, 8], 12), ([0, 8, 4], 12), ([0], 10)])
def test_arenas_that_a_thread_cannot_go_over_are_refused(engine, starts, size):
    arenas = [engine.device.zeros((size,), np.float32) for _ in range(3)]
    with pytest.raises(AssertionError):
        FlatStep(engine.device, MOMENTUM, arenas, [Stretch(0, start, 4, 1, 1) for start in starts])


def test_the_engine_declines_a_rule_of_which_it_has_no_kernel_and_other_numbers(engine):
    for step, dtype, size in (
        (Step("mine"), np.float32, 4),
        (MOMENTUM, np.float64, 4),
        (MOMENTUM, np.float32, 6),
    ):
        arrays = [engine.device.zeros((size,), dtype) for _ in range(3)]
        assert isinstance(engine.updater(step, arrays, [Stretch(0, 0, 4, 1, 1)], 1), Declined)


# ------------------------------------------------------------------ the norm


@pytest.mark.parametrize("size", [1, 7, 1023, 1024, 1025, 5000, 2_100_003])
def test_the_norm_is_that_of_all_elements(engine, size):
    values = np.random.default_rng(1).standard_normal(size).astype(np.float32)
    norm = norm_of(engine, values)
    with engine.device.current():
        norm()
    found, factor = engine.device.to_host(norm.result)
    assert factor == 1
    assert found == pytest.approx(np.linalg.norm(values.astype(np.float64)), rel=1e-6)


@pytest.mark.parametrize("limit, factor", [(10.0, 0.5), (20.0, 1.0), (40.0, 1.0)])
def test_the_factor_brings_a_norm_down_to_the_limit(engine, limit, factor):
    norm = norm_of(engine, np.full(400, -1, np.float32))  # of norm 20
    with engine.device.current():
        norm(limit)
    assert engine.device.to_host(norm.result).tolist() == [20.0, factor]


def test_norm_and_step_pass_nothing_through_the_host(gpu, engine, net):
    norm = norm_of(engine, net.host[1])
    limit = np.linalg.norm(net.host[1].astype(np.float64)) / 4
    with engine.device.current(), gpu.strict():
        norm(limit)
        net.step(0.1, 1.0, 0.25, factor_address=norm.factor_address)
    net.check(0.1, 1.0, 0.9, 0.25, False, factor=0.25)


def test_what_is_not_a_number_is_seen_in_the_norm_and_clips_nothing(engine):
    values = np.ones(2000, np.float32)
    values[1234] = np.nan
    norm = norm_of(engine, values)
    with engine.device.current():
        norm(0.1)
    found, factor = engine.device.to_host(norm.result)
    assert math.isnan(found) and factor == 1


def norm_of(engine, values):
    """Of an arena behind which other numbers lie, which do not count."""
    longer = engine.device.zeros((values.size + 100,), np.float32)
    longer.fill(7)
    arena = longer[: values.size]
    engine.device.write(arena, values)
    with engine.device.current():
        return GradientNorm(engine.device, arena)
