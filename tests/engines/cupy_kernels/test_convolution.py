"""Convolution plans against the layer's own array code in float64: every way, every pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.cupy_kernels import blas
from minidl.engines.cupy_kernels.columns import LIMIT
from minidl.engines.math import MATHS
from minidl.engines.request import Declined
from tests.engines.harness import Bound
from tests.engines.onednn.parity import truth

# Twice the relative error of a rounding to 8, 11 or 11 bits, for each of two factors.
ROUNDED = {"bf16": 2.0**-7, "fp16": 2.0**-10, "tf32": 2.0**-10, "float32": 0.0}

CASES = {
    "an image": dict(shape=(1, 3, 23, 21), num_output=8, kernel_size=[5], stride=[2]),
    "not square": dict(shape=(2, 3, 9, 7), num_output=4, kernel_h=3, kernel_w=2, stride_h=2,
                       stride_w=1, pad_h=1, pad_w=2),
    "dilated": dict(shape=(2, 3, 11, 10), num_output=4, kernel_size=[3], dilation=[2, 3], pad=[2]),
    "1 x 1": dict(shape=(3, 6, 5, 3), num_output=7, kernel_size=[1]),
    "1 x 1 in groups": dict(shape=(3, 6, 5, 3), num_output=4, kernel_size=[1], group=2),
    "1 x 1 with a stride": dict(shape=(3, 6, 5, 4), num_output=7, kernel_size=[1], stride=[2]),
    "groups": dict(shape=(2, 6, 5, 7), num_output=9, kernel_size=[3], group=3, pad=[1]),
    "depthwise": dict(shape=(2, 5, 6, 7), num_output=5, kernel_size=[3], group=5, stride=[2]),
    "depthwise, two maps each": dict(shape=(2, 3, 6, 5), num_output=6, kernel_size=[3, 2], group=3,
                                     pad=[1], dilation=[1, 2]),
    "one channel": dict(shape=(2, 1, 7, 6), num_output=3, kernel_size=[3]),
    "one axis": dict(shape=(2, 6, 11), num_output=5, kernel_size=[3], dilation=[2], pad=[1]),
    "axis 2": dict(shape=(2, 3, 4, 5, 4), num_output=6, kernel_size=[3], axis=2),
    "kernel over the edge": dict(shape=(2, 5, 4, 4), num_output=7, kernel_size=[5], stride=[3]),
    "no bias": dict(shape=(2, 4, 6, 6), num_output=3, kernel_size=[3], bias_term=False),
}  # fmt: skip
TRANSPOSED = {
    "enlarge": dict(shape=(2, 6, 4, 5), num_output=5, kernel_size=[4], stride=[2], pad=[1]),
    "bilinear": dict(shape=(2, 5, 3, 4), num_output=5, kernel_size=[4], stride=[2], group=5),
    "groups": dict(shape=(2, 6, 4, 3), num_output=9, kernel_size=[3], pad=[1], group=3),
    "dilated": dict(shape=(2, 4, 4, 3), num_output=3, kernel_size=[3, 2], stride=[1, 3],
                    dilation=[2, 3], pad=[1, 2]),
    "1 x 1": dict(shape=(2, 4, 4, 3), num_output=3, kernel_size=[1]),
}  # fmt: skip
ALL = [("Convolution", case) for case in CASES.values()]
ALL += [("Deconvolution", case) for case in TRANSPOSED.values()]
NAMES = [*CASES, *(f"transposed: {name}" for name in TRANSPOSED)]
cases = pytest.mark.parametrize("kind, case", ALL, ids=NAMES)


@cases
def test_it_computes_what_the_layer_does(engine, kind, case):
    expected = truth(kind, **case)
    (plan,) = expected.plans(engine)
    expected.check(plan)


@pytest.mark.parametrize("limit", [1, 3000])
@cases
def test_a_few_images_at_a_time_give_the_same(engine, kind, case, limit):
    expected = truth(kind, **{**case, "shape": (5, *case["shape"][1:])})
    (plan,) = expected.plans(engine, limit=limit)
    expected.check(plan)


@pytest.mark.parametrize("math", ["tf32", "fp16", "bf16"])
@cases
def test_in_fewer_bits_factors_are_rounded_and_nothing_else(engine, kind, case, math):
    """On factors that are such numbers already, everything is as exact as in float32."""
    expected = truth(kind, bf16=True, **case)
    (plan,) = expected.plans(engine, math=math)
    assert plan.bottom_layouts == plan.top_layouts == (None,) and set(plan.params.values()) == {
        None
    }
    expected.check(plan)


@pytest.mark.parametrize("math", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["groups", "1 x 1"])
def test_in_16_bits_the_error_is_that_of_the_factors(engine, name, math):
    expected = truth("Convolution", **CASES[name])
    (plan,) = expected.plans(engine, math=math)
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    (y,), (dx,), written = bound.run([expected.dy])
    results = [
        (y, expected.y),
        (dx, expected.dx),
        (written["weight"], expected.gradients["weight"]),
    ]
    for found, exact in results:
        error = np.abs(found - exact).max() / np.abs(exact).max()
        assert 0 < error < ROUNDED[math]


@st.composite
def convolutions(draw):
    """(type, fields, shape): small and odd; the kernel may overhang by less than a stride."""
    kind = draw(st.sampled_from(["Convolution", "Convolution", "Deconvolution"]))
    axes = draw(st.sampled_from([1, 2, 2, 2]))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = (group * draw(st.integers(1, 4)) for _ in range(2))
    fields = dict(num_output=outputs, group=group, bias_term=draw(st.booleans()))
    for name, most in dict(kernel_size=4, stride=3, dilation=2).items():
        fields[name] = [draw(st.integers(1, most)) for _ in range(axes)]
    fields["pad"] = [draw(st.integers(0, 2)) for _ in range(axes)]
    size = tuple(draw(st.integers(1, 9)) for _ in range(axes))
    geometry = (fields[name] for name in ("kernel_size", "stride", "pad", "dilation"))
    op = ops.Conv(outputs, *map(tuple, geometry), transposed=kind == "Deconvolution")
    assume(min(op.out(size)) > 0)
    return kind, fields, (draw(st.integers(1, 4)), inputs, *size)


OVERHANG = dict(num_output=3, group=1, bias_term=True, kernel_size=[4], stride=[3], dilation=[1])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(convolutions(), st.sampled_from([1, 2000, None]))
@example(("Convolution", {**OVERHANG, "pad": [0]}, (1, 2, 2)), None)
def test_any_geometry(engine, drawn, limit):
    kind, fields, shape = drawn
    expected = truth(kind, shape, **fields)
    (plan,) = expected.plans(engine, limit=limit)
    expected.check(plan)


# ------------------------------------------------------------------ parameters

WAYS = ["groups", "depthwise", "1 x 1"]  # columns, none, the images themselves


@pytest.fixture(params=WAYS)
def expected(request):
    return truth("Convolution", **CASES[request.param])


def test_gradients_that_are_not_fresh_are_added_to(engine, expected):
    rng = np.random.default_rng(5)
    there = {name: rng.standard_normal(v.shape) for name, v in expected.params.items()}
    for limit in (None, 1):
        expected.check(expected.plans(engine, limit=limit)[0], there)


def test_a_second_backward_adds_to_the_first(engine, expected):
    (plan,) = expected.plans(engine)
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    bound.run([expected.dy])
    _, _, written = bound.run([expected.dy])
    for name, gradient in expected.gradients.items():
        expected.close(plan, name, written[name], 2 * gradient)


@pytest.mark.parametrize("learning", [("bias",), ("weight",), ()], ids=str)
def test_only_what_is_learning_gets_a_gradient(engine, expected, learning):
    (plan,) = expected.plans(engine, learning=learning)
    assert plan.keeps == (("bottom",) if "weight" in learning else ())
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
    _, (dx,), written = bound.run([expected.dy])
    assert written.keys() == set(learning)
    expected.close(plan, "dx", dx, expected.dx)
    for name in learning:
        expected.close(plan, name, written[name], expected.gradients[name])


def test_a_bottom_whose_gradient_nobody_wants_costs_no_pass(gpu, engine, expected):
    launches = []
    for wanted in (True, False):
        (plan,) = expected.plans(engine, wanted=(wanted,))
        bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [wanted])
        before = gpu.launches
        with engine.device.current():
            bound.backward()
        launches.append(gpu.launches - before)
    assert launches[0] > launches[1]


# ------------------------------------------------------------------ how it runs


@cases
def test_passes_only_launch(gpu, engine, kind, case):
    """No transfer, no wait and no allocation: a pass can be captured into a CUDA graph."""
    expected = truth(kind, **case)
    for math in ("float32", "bf16"):
        (plan,) = expected.plans(engine, math=math)
        bound = Bound(plan, [expected.x], [expected.y.shape], expected.params, [True])
        with engine.device.current(), gpu.strict():
            bound.forward()
            bound.backward()


def test_without_training_there_is_no_backward(engine, expected):
    idle = dict(training=False, backward=False, wanted=(), learning=())
    (plan,) = expected.plans(engine, **idle)
    bound = Bound(plan, [expected.x], [expected.y.shape], expected.params)
    (y,), _, _ = bound.run()
    expected.close(plan, "y", y, expected.y)
    assert bound.backward is None and plan.keeps == ()


THENS = [
    ops.Activation("relu"),
    ops.Activation("relu", 0.25),
    ops.Activation("tanh"),
    ops.Activation("sigmoid"),
]
ENDINGS = [("Convolution", name) for name in WAYS]
ENDINGS += [("Deconvolution", name) for name in ("groups", "bilinear", "1 x 1")]


@pytest.mark.parametrize("kind, name", ENDINGS)
@pytest.mark.parametrize("then", THENS, ids=str)
def test_the_activation_that_follows_is_done_in_forward(engine, kind, name, then):
    made = truth(kind, **(CASES if kind == "Convolution" else TRANSPOSED)[name])
    (plan,) = engine.plans(replace(made.op, then=then), made.request())
    bound = Bound(plan, [made.x], [made.y.shape], made.params, [True])
    (y,), (dx,), _ = bound.run([made.dy])
    f = {"tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}.get(
        then.kind, lambda x: np.where(x > 0, x, then.slope * x)
    )
    made.close(plan, "y", y, f(made.y))
    made.close(plan, "dx", dx, made.dx)


@pytest.mark.parametrize(
    "name, algorithm",
    [("groups", "im2col+gemm"), ("1 x 1", "gemm"), ("1 x 1 with a stride", "im2col+gemm")]
    + [("depthwise", "direct_depthwise"), ("one channel", "im2col+gemm")],
)
def test_its_name_says_which_way_was_taken(engine, name, algorithm):
    (plan,) = truth("Convolution", **CASES[name]).plans(engine)
    assert plan.algorithm == algorithm


def test_the_workspace_keeps_to_its_limit_where_one_image_fits(engine):
    """Of AlexNet's second layer, 256 images: 1200 rows of columns and 256 maps of 729 places."""
    op = ops.Conv(256, (5,), pad=(2,), group=2)
    request = truth("Convolution", (1, 2, 3, 3), num_output=2, kernel_size=[1]).request(
        bottom_shapes=((256, 96, 27, 27),),
        top_shapes=((256, 256, 27, 27),),
        params=(("weight", (256, 48, 5, 5)), ("bias", (256,))),
    )
    image = 4 * 729 * (96 * 25 + 256)
    for limit in (None, 20 * image, 4 * image, 4 * image - 1):
        for math in ("float32", "fp16"):
            (plan,) = engine.plans(op, replace(request, limit=limit, math=MATHS[math]))
            assert 0.4 * (limit or LIMIT) < plan.workspace <= (limit or LIMIT)
    (plan,) = engine.plans(op, replace(request, limit=1))
    assert image <= plan.workspace < 1.01 * image


@pytest.mark.parametrize("name", ["1 x 1", "depthwise"])
def test_what_works_where_the_images_lie_needs_a_workspace_only_to_learn(engine, name):
    made = truth("Convolution", **CASES[name])
    assert made.plans(engine)[0].workspace > 0
    (plan,) = made.plans(engine, learning=())
    assert plan.workspace == 0
    bound = Bound(plan, [made.x], [made.y.shape], made.params, [True])
    (y,), (dx,), _ = bound.run([made.dy])
    made.close(plan, "y", y, made.y)
    made.close(plan, "dx", dx, made.dx)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "bottoms, weight, reason",
    [(2, (4, 3, 3, 3), "share filters"), (1, (4, 3), "not 0"), (1, (4, 3, 1, 1, 1), "not 3")],
)
def test_what_it_has_no_plan_for_is_declined(engine, bottoms, weight, reason):
    request = truth("Convolution", **CASES["groups"]).request()
    request = replace(
        request, bottom_shapes=request.bottom_shapes * bottoms, params=(("weight", weight),)
    )
    assert reason in engine.plans(ops.Conv(4, (3,)), request).reason


def test_without_cublas_only_what_needs_no_product_has_a_plan(engine, monkeypatch):
    monkeypatch.setattr(blas, "missing", lambda: Declined("cuBLAS cannot be loaded"))
    made = truth("Convolution", **CASES["groups"])
    assert "cuBLAS" in engine.plans(made.op, made.request()).reason
    assert truth("Convolution", **CASES["depthwise"]).plans(engine)
