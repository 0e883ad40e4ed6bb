"""Inner product plans against the layer's array code in float64: every pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.cupy_kernels import blas
from minidl.engines.request import Declined
from tests.engines.harness import Bound
from tests.engines.onednn.parity import truth

CASES = {
    "wide": dict(shape=(16, 80), num_output=33),
    "one image": dict(shape=(1, 37), num_output=64),
    "images": dict(shape=(3, 4, 5, 2), num_output=7),
    "rows on two axes": dict(shape=(3, 4, 5, 2), num_output=7, axis=2),
    "axis from the end": dict(shape=(3, 4, 5, 2), num_output=7, axis=-1),
    "one output": dict(shape=(5, 9), num_output=1),
    "stored transposed": dict(shape=(6, 35), num_output=18, transpose=True),
    "no bias": dict(shape=(6, 35), num_output=18, bias_term=False),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
MATHS = ["float32", "tf32", "fp16", "bf16"]


@cases
@pytest.mark.parametrize("math", MATHS)
def test_it_computes_what_the_layer_does(engine, case, math):
    """In 16 bits, too, on factors that are such numbers: sums and results are float32."""
    expected = truth("InnerProduct", bf16=math != "float32", **case)
    (plan,) = expected.plans(engine, math=math)
    assert plan.bottom_layouts == plan.top_layouts == (None,)
    expected.check(plan)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    outputs=st.integers(1, 40),
    transpose=st.booleans(),
    math=st.sampled_from(MATHS),
)
def test_any_size(engine, shape, outputs, transpose, math):
    expected = truth("InnerProduct", shape, bf16=True, num_output=outputs, transpose=transpose)
    (plan,) = expected.plans(engine, math=math)
    expected.check(plan)


@pytest.mark.parametrize("math", ["fp16", "bf16"])
def test_in_16_bits_the_error_is_that_of_the_factors(engine, math):
    expected = truth("InnerProduct", **CASES["wide"])
    (plan,) = expected.plans(engine, math=math)
    assert plan.workspace > 2 * (16 * 80 + 33 * 80 + 16 * 33)
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    (y,), (dx,), _ = bound.run([expected.dy])
    for found, exact in ((y, expected.y), (dx, expected.dx)):
        error = np.abs(found - exact).max() / np.abs(exact).max()
        assert 0 < error < (2.0**-7 if math == "bf16" else 2.0**-10)


def test_gradients_that_are_not_fresh_are_added_to(engine):
    for name in ("wide", "stored transposed"):
        expected = truth("InnerProduct", **CASES[name])
        rng = np.random.default_rng(5)
        there = {name: rng.standard_normal(v.shape) for name, v in expected.params.items()}
        expected.check(expected.plans(engine)[0], there)


@pytest.mark.parametrize("learning", [("bias",), ("weight",), ()], ids=str)
def test_only_what_is_learning_gets_a_gradient(engine, learning):
    expected = truth("InnerProduct", **CASES["wide"])
    (plan,) = expected.plans(engine, learning=learning)
    assert plan.keeps == (("bottom",) if "weight" in learning else ())
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    _, (dx,), written = bound.run([expected.dy])
    assert written.keys() == set(learning)
    expected.close(plan, "dx", dx, expected.dx)


@pytest.mark.parametrize("math", ["float32", "bf16"])
def test_passes_only_launch(gpu, engine, math):
    expected = truth("InnerProduct", **CASES["wide"])
    (plan,) = expected.plans(engine, math=math)
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    with engine.device.current(), gpu.strict():
        bound.forward()
        bound.backward()


def test_in_float32_and_without_a_bias_each_pass_is_one_product(gpu, engine):
    expected = truth("InnerProduct", **CASES["no bias"])
    (plan,) = expected.plans(engine)
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    with engine.device.current():
        before = gpu.launches
        bound.forward()
        bound.backward()
    assert (gpu.launches - before, plan.workspace) == (3, 0)


def test_without_training_changed_weights_are_noticed(engine):
    expected = truth("InnerProduct", (6, 40), num_output=33)
    idle = dict(training=False, backward=False, wanted=(), learning=())
    for math in ("float32", "bf16"):
        (plan,) = expected.plans(engine, math=math, **idle)
        bound = Bound(plan, [expected.x], [expected.y.shape], expected.params)
        (y,), _, _ = bound.run()
        for name, param in bound.params.items():
            param.values.write(-expected.params[name])
        (again,), _, _ = bound.run()
        np.testing.assert_array_equal(again, -y)
        assert bound.backward is None and plan.keeps == ()


def test_the_activation_that_follows_is_done_in_forward(engine):
    expected = truth("InnerProduct", **CASES["wide"])
    op = replace(expected.op, then=ops.Activation("relu"))
    (plan,) = engine.plans(op, expected.request())
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    (y,), (dx,), _ = bound.run([expected.dy])
    expected.close(plan, "y", y, np.maximum(expected.y, 0))
    expected.close(plan, "dx", dx, expected.dx)


def test_without_cublas_there_is_no_plan(engine, monkeypatch):
    monkeypatch.setattr(blas, "missing", lambda: Declined("cuBLAS cannot be loaded"))
    expected = truth("InnerProduct", **CASES["wide"])
    assert "cuBLAS" in engine.plans(expected.op, expected.request()).reason
