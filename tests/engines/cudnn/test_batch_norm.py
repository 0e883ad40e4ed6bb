"""cuDNN's batch normalisation against the float64 layer, with Caffe's sums of statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.harness import bind, build
from tests.engines.cudnn.as_layer import ARRANGEMENTS, check, reason, replayed
from tests.engines.cupy_kernels.as_layer import request
from tests.engines.harness import Bound, plain

PARAMS = (("mean", (3,)), ("variance", (3,)), ("scale_factor", (1,)))


def statistics(channels, factor=1.7):
    rng = np.random.default_rng(2)
    return [rng.standard_normal(channels), 0.5 + rng.random(channels), np.array([factor])]


@given(
    rest=st.lists(st.integers(1, 5), max_size=3).map(tuple),
    images=st.integers(1, 4),
    seen=st.booleans(),
)
def test_it_is_the_layer_both_kinds_any_shape(engine, rest, images, seen):
    shape = (images, 3, *rest)
    layer = build("BatchNorm", use_global_stats=seen, moving_average_fraction=0.9, eps=1e-3)
    x = 2 + np.random.default_rng(0).standard_normal(shape)
    if not seen and images * np.prod(rest) == 1:
        assert "one value" in reason(engine, layer.op, shape, params=PARAMS, homes=(None,) * 3)
        return
    plan = check(engine, layer.op, layer, x, params=statistics(3))
    assert plan.keeps == (() if seen else ("bottom",))


@pytest.mark.parametrize("seen", [False, True], ids=["batch", "global"])
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_it_stays_in_the_order_in_which_the_bottom_arrives(engine, name, seen):
    shape = (4, 3, 3, 5)
    layer = build("BatchNorm", use_global_stats=seen)
    x = np.random.default_rng(0).standard_normal(shape)
    plan = check(engine, layer.op, layer, x, ARRANGEMENTS[name](shape), params=statistics(3))
    assert plan.bottom_layouts == plan.top_layouts == (ARRANGEMENTS[name](shape),)


def test_before_anything_was_seen_mean_and_variance_are_zero(engine):
    layer = build("BatchNorm", use_global_stats=True, eps=0.5)
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    check(engine, layer.op, layer, x, params=statistics(3, factor=0.0))


def test_global_statistics_can_be_used_in_place(engine):
    layer = build("BatchNorm", use_global_stats=True, in_place=True)
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    check(engine, layer.op, layer, x, params=statistics(3), in_place=True)


def test_statistics_of_each_batch_are_added_to_the_sums(engine):
    """Three times: what the library keeps from one batch leaves no trace in the next."""
    layer = build("BatchNorm", moving_average_fraction=0.5)
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((2, 3, 4)) + 10 * i for i in range(3)]
    (plan,) = engine.plans(
        layer.op, request(batches[:1], [(2, 3, 4)], params=PARAMS, homes=(None,) * 3)
    )
    values = dict(zip(("mean", "variance", "scale_factor"), np.zeros((3, 3)), strict=True))
    values["scale_factor"] = np.zeros(1)
    bound = Bound(plan, batches[:1], [(2, 3, 4)], values, [True])
    mean, variance, factor, versions = np.zeros(3), np.zeros(3), 0.0, []
    for x in batches:
        bound.bottom[0].assign(np.float32(x))
        bound.run()
        mean = 0.5 * mean + x.mean(axis=(0, 2))
        variance = 0.5 * variance + x.var(axis=(0, 2), ddof=1)
        factor = 0.5 * factor + 1
        versions.append(bound.params["mean"].values.version)
    for name, expected in {"mean": mean, "variance": variance, "scale_factor": factor}.items():
        memory = bound.params[name].values.memory
        np.testing.assert_allclose(memory.device.to_host(memory.array), expected, rtol=1e-5)
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("seen", [False, True], ids=["batch", "global"])
def test_a_graph_captures_all_that_runs(engine, seen):
    layer = build("BatchNorm", use_global_stats=seen, moving_average_fraction=0.5)
    x = 3 + np.random.default_rng(0).standard_normal((2, 3, 4))
    (bottom,), (top,) = bind(layer, x, params=statistics(3))
    (plan,) = engine.plans(layer.op, request([x], [x.shape], params=PARAMS, homes=(None,) * 3))
    bound = Bound(plan, [x], [x.shape], {p.name: p.data.copy() for p in layer.params}, [True])
    bound.top_diff[0].assign(np.float32(x))
    replayed(bound)
    layer.forward([bottom], [top])
    np.testing.assert_allclose(plain(bound.top[0]), top.data, rtol=1e-4, atol=1e-5)
    for param in layer.params:
        kept = bound.params[param.name].values.memory
        np.testing.assert_allclose(plain(kept), param.data, rtol=1e-5)


def test_it_declines_to_train_in_place(engine):
    op = ops.BatchNorm(1e-5, 0.9, global_stats=False)
    assert "the top has overwritten" in reason(
        engine, op, (2, 3, 4), params=PARAMS, homes=(None,) * 3, in_place=True
    )
