"""Inner product plans against the layer's array code in float64: every candidate, every pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.math import BF16
from minidl.engines.onednn import api
from minidl.engines.onednn.layout import plain, wanted
from tests.engines.harness import Bound
from tests.engines.onednn.parity import truth

ROUNDING = 2.0**-8  # twice the relative error of one rounding to bfloat16

CASES = {
    "wide": dict(shape=(64, 80), num_output=33),
    "one image": dict(shape=(1, 37), num_output=64),
    "images": dict(shape=(3, 4, 5, 2), num_output=7),
    "rows on two axes": dict(shape=(3, 4, 5, 2), num_output=7, axis=2),
    "axis from the end": dict(shape=(3, 4, 5, 2), num_output=7, axis=-1),
    "one output": dict(shape=(5, 9), num_output=1),
    "stored transposed": dict(shape=(6, 35), num_output=18, transpose=True),
    "no bias": dict(shape=(6, 35), num_output=18, bias_term=False),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@cases
def test_every_candidate_computes_what_the_layer_does(engine, case):
    expected = truth("InnerProduct", **case)
    for plan in expected.plans(engine):
        assert plan.bottom_layouts == plan.top_layouts == (None,)
        expected.check(plan)


@cases
def test_in_bf16_inputs_are_rounded_and_nothing_else(engine, case):
    """On inputs that are bfloat16 numbers, everything is as exact as in float32."""
    if BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} has no bfloat16 arithmetic")
    expected = truth("InnerProduct", bf16=True, **case)
    for plan in expected.plans(engine, math="bf16"):
        assert plan.bottom_layouts == plan.top_layouts == (None,)
        expected.check(plan)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    outputs=st.integers(1, 70),
    transpose=st.booleans(),
)
def test_any_size(engine, shape, outputs, transpose):
    expected = truth("InnerProduct", shape, num_output=outputs, transpose=transpose)
    for plan in expected.plans(engine):
        expected.check(plan)


def test_gradients_that_are_not_fresh_are_added_to(engine):
    expected = truth("InnerProduct", **CASES["wide"])
    rng = np.random.default_rng(5)
    there = {name: rng.standard_normal(v.shape) for name, v in expected.params.items()}
    for plan in expected.plans(engine):
        expected.check(plan, there)


def test_all_passes_share_one_home_for_the_weights(engine):
    """A rearrangement of AlexNet's fc6 would take longer than a pass."""
    expected = truth("InnerProduct", (64, 512), num_output=256)
    for plan in expected.plans(engine):
        assert plan.saved == 0
        assert plan.workspace < expected.params["weight"].size * 4


def test_large_weights_are_kept_in_blocks_and_small_ones_plain(engine):
    homes = []
    for rows, inputs, outputs in ((8, 64, 40), (8, 2048, 1024)):
        request = truth("InnerProduct", (1, 2), num_output=2).request(
            bottom_shapes=((rows, inputs),),
            top_shapes=((rows, outputs),),
            params=(("weight", (outputs, inputs)), ("bias", (outputs,))),
        )
        homes.append(next(iter(engine.plans(ops.Gemm(outputs), request))).params["weight"])
    assert homes[0] is None
    if engine.isa.startswith("avx512"):
        assert homes[1] is not None


def test_in_bf16_one_copy_of_the_weights_serves_forward_and_backward(engine):
    if BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} has no bfloat16 arithmetic")
    expected = truth("InnerProduct", (64, 512), num_output=256)
    plan = next(plan for plan in expected.plans(engine, math="bf16") if plan.saved)
    assert plan.saved == expected.params["weight"].size * 2
    assert plan.workspace < plan.saved
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    assert not np.array_equal(bound.run([expected.dy])[0][0], np.zeros_like(expected.y))
    bound.params["weight"].values.write(-expected.params["weight"])
    _, (dx,), _ = bound.run([expected.dy])
    assert np.abs(dx + expected.dx).max() < 8 * ROUNDING * np.abs(expected.dx).mean()


def test_training_in_bf16_without_amx_is_left_to_float32(engine):
    """Rounding the weights at every step would cost more than it gains; in a test it does not."""
    if BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} has no bfloat16 arithmetic")
    expected = truth("InnerProduct", **CASES["wide"])
    training = expected.plans(engine, most=1, math="bf16")[0]
    assert reads_bf16(training) == engine.amx
    idle = dict(training=False, backward=False, wanted=(), learning=())
    assert reads_bf16(expected.plans(engine, most=1, math="bf16", **idle)[0])


def reads_bf16(plan):
    """Whether the product is of bfloat16 numbers, however the implementation is called."""
    weights = wanted(plan.trio.forward, api.WEIGHTS, plan.stated.weights.shape)
    return weights.dtype == api.BF16


@pytest.mark.parametrize("math", ["float32", "bf16"])
@pytest.mark.parametrize("transpose", [False, True])
def test_weights_that_already_live_somewhere_stay_there(engine, transpose, math):
    if math == "bf16" and BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} has no bfloat16 arithmetic")
    settings = dict(num_output=33, transpose=transpose)
    expected = truth("InnerProduct", (6, 40), bf16=math == "bf16", **settings)
    of_another_batch = truth("InnerProduct", (64, 40), **settings).plans(engine)
    # On some machines (AVX2, W stored the other way round) no candidate wants blocks.
    homes = {p.params["weight"] for p in of_another_batch} | {None}
    for home in homes:
        for plan in expected.plans(engine, homes=(home, None), math=math):
            assert plan.params == {"weight": home, "bias": None}
            expected.check(plan)


def test_weights_laid_out_for_another_shape_are_refused(engine):
    expected = truth("InnerProduct", (6, 40), num_output=32)
    request = expected.request(homes=(plain((32, 5, 8), shape=(32, 40)), None))
    assert "(32, 5, 8), not (32, 40)" in engine.plans(expected.op, request).reason


@pytest.mark.parametrize("math", ["float32", "bf16"])
def test_without_training_changed_weights_are_noticed(engine, math):
    if math == "bf16" and BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} has no bfloat16 arithmetic")
    expected = truth("InnerProduct", (6, 40), num_output=33, bf16=math == "bf16")
    idle = dict(training=False, backward=False, wanted=(), learning=(), homes=(None, None))
    for plan in expected.plans(engine, math=math, **idle):
        assert (plan.saved, plan.keeps) == (0, ())
        bound = Bound(plan, [expected.x], [expected.y.shape], expected.params)
        (y,), _, _ = bound.run()
        expected.close(plan, "y", y, expected.y)
        for name, param in bound.params.items():
            param.values.write(-expected.params[name])
        (again,), _, _ = bound.run()
        np.testing.assert_array_equal(again, -y)


def test_the_activation_that_follows_is_done_in_forward(engine):
    expected = truth("InnerProduct", **CASES["wide"])
    op = replace(expected.op, then=ops.Activation("relu"))
    for plan in engine.plans(op, expected.request()):
        bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
        (y,), (dx,), _ = bound.run([expected.dy])
        expected.close(plan, "y", y, np.maximum(expected.y, 0))
        expected.close(plan, "dx", dx, expected.dx)


def test_no_candidate_is_slow_or_there_twice(engine):
    plans = truth("InnerProduct", **CASES["wide"]).plans(engine)
    assert any("gemm:jit" in plan.algorithm for plan in plans)
    assert not any("ref" in name for plan in plans for name in plan.passes.values())
    keys = [(*plan.passes.items(), plan.params["weight"]) for plan in plans]
    assert len(set(keys)) == len(keys) > 1
