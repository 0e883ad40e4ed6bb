"""Convolution plans against the layer's own array code in float64: every candidate, every pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.arrays.memory import ALIGNMENT
from minidl.engines.math import BF16
from minidl.engines.onednn.layout import channels_last
from minidl.engines.request import Declined
from tests.engines.harness import Bound
from tests.engines.onednn.parity import Truth, truth

# What is stored in bfloat16 is off by half a unit of its 8 bits.
ROUNDING = 2.0**-8

CASES = {
    "blocks of channels": dict(shape=(2, 32, 9, 7), num_output=48, kernel_size=[3], pad=[1]),
    "an image": dict(shape=(1, 3, 23, 21), num_output=32, kernel_size=[5], stride=[2]),
    "LeNet's": dict(shape=(3, 20, 7, 7), num_output=50, kernel_size=[5]),
    "1 x 1": dict(shape=(2, 16, 5, 3), num_output=32, kernel_size=[1]),
    "groups": dict(shape=(2, 32, 5, 7), num_output=64, kernel_size=[3], group=2, pad=[1]),
    "depthwise": dict(shape=(2, 17, 6, 5), num_output=17, kernel_size=[3], group=17),
    "one axis": dict(shape=(2, 6, 11), num_output=5, kernel_size=[3], dilation=[2]),
    "three axes": dict(shape=(2, 3, 4, 5, 6), num_output=4, kernel_size=[2], stride=[2]),
    "axis 2": dict(shape=(2, 3, 16, 5, 4), num_output=16, kernel_size=[3], axis=2),
    "kernel over the edge": dict(shape=(2, 5, 4, 4), num_output=7, kernel_size=[5], stride=[3]),
    "no bias": dict(shape=(2, 16, 6, 6), num_output=16, kernel_size=[3], bias_term=False),
}
TRANSPOSED = {
    "enlarge": dict(shape=(2, 16, 4, 5), num_output=32, kernel_size=[4], stride=[2], pad=[1]),
    "bilinear": dict(shape=(2, 5, 3, 4), num_output=5, kernel_size=[4], stride=[2], group=5),
    "groups": dict(shape=(1, 6, 4, 3), num_output=9, kernel_size=[3], pad=[1], group=3),
}
ALL = [("Convolution", case) for case in CASES.values()]
ALL += [("Deconvolution", case) for case in TRANSPOSED.values()]
NAMES = [*CASES, *(f"transposed: {name}" for name in TRANSPOSED)]


@pytest.mark.parametrize("kind, case", ALL, ids=NAMES)
def test_every_candidate_computes_what_the_layer_does(engine, kind, case):
    expected = truth(kind, **case)
    for plan in expected.plans(engine):
        expected.check(plan)


@pytest.mark.parametrize("kind, case", ALL, ids=NAMES)
def test_in_bf16_only_what_is_stored_so_is_rounded(engine, kind, case):
    """Sums, the bias and the parameters' gradients stay float32."""
    if BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} has no bfloat16 arithmetic")
    expected = truth(kind, bf16=True, **case)
    for plan in expected.plans(engine, math="bf16"):
        expected.check(plan, rounded=ROUNDING)


@st.composite
def convolutions(draw):
    """(type, fields, shape): small and odd; the kernel may overhang by less than a stride."""
    kind = draw(st.sampled_from(["Convolution", "Convolution", "Deconvolution"]))
    axes = draw(st.sampled_from([1, 2, 2, 2, 3]))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = (group * draw(st.sampled_from([1, 2, 3, 8, 16, 17])) for _ in range(2))
    fields = dict(num_output=outputs, group=group, bias_term=draw(st.booleans()))
    for name, most in dict(kernel_size=4, stride=3, dilation=2).items():
        fields[name] = [draw(st.integers(1, most)) for _ in range(axes)]
    fields["pad"] = [draw(st.integers(0, 2)) for _ in range(axes)]
    size = tuple(draw(st.integers(1, 9)) for _ in range(axes))
    geometry = (fields[name] for name in ("kernel_size", "stride", "pad", "dilation"))
    op = ops.Conv(outputs, *map(tuple, geometry), transposed=kind == "Deconvolution")
    assume(min(op.out(size)) > 0)
    return kind, fields, (draw(st.integers(1, 3)), inputs, *size)


OVERHANG = dict(num_output=3, group=1, bias_term=True, kernel_size=[4], stride=[3], dilation=[1])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(convolutions())
@example(("Convolution", {**OVERHANG, "pad": [0]}, (1, 2, 2)))
def test_any_geometry(engine, drawn):
    kind, fields, shape = drawn
    expected = truth(kind, shape, **fields)
    found = engine.plans(expected.op, expected.request())
    if isinstance(found, Declined):
        assert "reference" in found.reason
        return
    for plan in found:
        expected.check(plan)


# ------------------------------------------------------------------ parameters


@pytest.fixture(scope="module")
def lenet() -> Truth:
    return truth("Convolution", **CASES["LeNet's"])


def test_gradients_that_are_not_fresh_are_added_to(engine, lenet):
    there = {n: np.random.default_rng(5).standard_normal(v.shape) for n, v in lenet.params.items()}
    for plan in lenet.plans(engine):
        lenet.check(plan, there)


def test_a_second_backward_adds_to_the_first(engine, lenet):
    for plan in lenet.plans(engine, most=2):
        bound = Bound(plan, [lenet.x], [lenet.y.shape], lenet.params, [True])
        bound.run([lenet.dy])
        _, _, written = bound.run([lenet.dy])
        lenet.close(plan, "weight", written["weight"], 2 * lenet.gradients["weight"])


def test_padding_of_filters_and_gradient_is_zero(engine, lenet):
    """So that the solver may go over all bytes."""
    blocked = next(p for p in lenet.plans(engine) if p.params["weight"] is not None)
    bound = Bound(blocked, [lenet.x], [lenet.y.shape], lenet.params, [True])
    bound.run([lenet.dy])
    weight = bound.params["weight"]
    for memory in (weight.values.memory, weight.gradient.memory):
        held = memory.array.view(np.float32)
        assert held.size > memory.plain(np.float32).size
        assert np.count_nonzero(held) == np.count_nonzero(memory.plain(np.float32))


@pytest.mark.parametrize("learning", [("bias",), ("weight",), ()], ids=str)
def test_only_what_is_learning_gets_a_gradient(engine, lenet, learning):
    for plan in lenet.plans(engine, most=2, learning=learning):
        bound = Bound(plan, [lenet.x], [lenet.y.shape], lenet.params, [True])
        _, (dx,), written = bound.run([lenet.dy])
        assert written.keys() == set(learning)
        lenet.close(plan, "dx", dx, lenet.dx)
        for name in learning:
            lenet.close(plan, name, written[name], lenet.gradients[name])


def test_a_bottom_whose_gradient_nobody_wants_costs_no_pass(engine, lenet):
    for plan in lenet.plans(engine, most=2, wanted=(False,)):
        assert "backward data" not in plan.passes
        bound = Bound(plan, [lenet.x], [lenet.y.shape], lenet.params, [False])
        _, dx, written = bound.run([lenet.dy])
        assert dx == [None]
        lenet.close(plan, "weight", written["weight"], lenet.gradients["weight"])


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_filters_that_already_live_somewhere_stay_there(engine, kind):
    expected = truth(kind, (2, 6, 7, 5), num_output=9, kernel_size=[3], group=3)
    homes = [expected.plans(engine, most=1)[0].params["weight"], None]
    assert homes[0] is not None
    for home in homes:
        for plan in expected.plans(engine, homes=(home, None)):
            assert plan.params == {"weight": home, "bias": None}
            expected.check(plan)


def test_filters_laid_out_for_other_groups_are_refused(engine):
    shape = (1, 32, 5, 5)
    whole = truth("Convolution", shape, num_output=16, kernel_size=[3])
    (plan,) = whole.plans(engine, most=1)
    halves = truth("Convolution", (1, 64, 5, 5), num_output=16, kernel_size=[3], group=2)
    request = halves.request(homes=(plan.params["weight"], None))
    assert "other groups" in engine.plans(halves.op, request).reason


def test_one_home_serves_forward_and_gradient(engine):
    """As AlexNet's layers need it: no filter is copied but for dx."""
    expected = truth("Convolution", **CASES["blocks of channels"])
    plan = expected.plans(engine, most=1)[0]
    assert plan.workspace < 2 * expected.params["weight"].size * 4 + ALIGNMENT
    assert expected.plans(engine, most=1, wanted=(False,))[0].workspace == 0


# ------------------------------------------------------------------ inference


@pytest.mark.parametrize("math", ["float32", "bf16"])
@pytest.mark.parametrize("home", ["plain", "chosen"])
def test_without_training_changed_filters_are_noticed(engine, lenet, home, math):
    if math == "bf16" and BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} has no bfloat16 arithmetic")
    idle = dict(training=False, backward=False, wanted=(), learning=(), math=math)
    if home == "plain":
        idle["homes"] = (None, None)
    for plan in lenet.plans(engine, **idle):
        bound = Bound(plan, [lenet.x], [lenet.y.shape], lenet.params)
        assert bound.backward is None
        rounded = 2.0**-4 if math == "bf16" else 0.0  # of x and w and y, with some cancellation
        (y,), _, _ = bound.run()
        typical = np.abs(lenet.y).mean()
        assert np.abs(y - lenet.y).max() < (rounded + 1e-5) * typical
        bound.params["weight"].values.write(-lenet.params["weight"])
        bound.params["bias"].values.write(-lenet.params["bias"])
        (again,), _, _ = bound.run()
        np.testing.assert_array_equal(again, -y)


# ------------------------------------------------------------------ which plan


def test_the_activation_that_follows_is_done_in_forward(engine, lenet):
    op = replace(lenet.op, then=ops.Activation("relu", slope=0.25))
    expected = np.where(lenet.y > 0, lenet.y, lenet.y * 0.25)
    for plan in engine.plans(op, lenet.request()):
        bound = Bound(plan, [lenet.x], [lenet.y.shape], lenet.params, [True])
        (y,), (dx,), _ = bound.run([lenet.dy])
        lenet.close(plan, "y", y, expected)
        lenet.close(plan, "dx", dx, lenet.dx)  # dy is what comes out below the activation


def test_blocks_where_channels_fill_them_and_channels_last_where_not(engine):
    tops = {}
    for outputs in (64, 50):
        made = truth("Convolution", (2, 32, 9, 9), num_output=outputs, kernel_size=[3])
        tops[outputs] = str(made.plans(engine, most=1)[0].top_layouts[0])
    if engine.isa.startswith("avx512"):
        assert tops == {64: "nChw16c", 50: "nhwc"}


def test_a_bottom_stays_as_it_is_where_the_same_code_can_take_it(engine):
    made = truth("Convolution", (2, 32, 9, 9), num_output=64, kernel_size=[3])
    last = channels_last(made.x.shape)
    plan = made.plans(engine, most=1, bottom_layouts=(last,))[0]
    if plan.passes == made.plans(engine, most=1)[0].passes:
        assert plan.bottom_layouts == (last,)
    made.check(plan)


def test_candidates_are_many_and_none_is_slow_or_there_twice(engine, lenet):
    plans = lenet.plans(engine)
    assert any("gemm" in plan.algorithm for plan in plans)
    assert not any("ref" in name for plan in plans for name in plan.passes.values())
    keys = [(*plan.passes.items(), plan.bottom_layouts, plan.top_layouts) for plan in plans]
    assert len(set(keys)) == len(keys) > 1
    for plan in plans:
        assert plan.algorithm.startswith(plan.passes["forward"])
        assert plan.keeps == ("bottom",)


def test_a_plan_for_an_older_machine_keeps_to_its_code_in_all_passes(engine, lenet):
    if engine.isa.startswith("avx512"):
        assert {"jit:avx2"} in [set(plan.passes.values()) for plan in lenet.plans(engine)]


def test_a_single_channel_is_taken_from_the_plain_image(engine):
    """Channels last or first: the memory is the same, and nothing has to be converted."""
    made = truth("Convolution", (2, 1, 12, 12), num_output=20, kernel_size=[5])
    assert all(plan.bottom_layouts == (None,) for plan in made.plans(engine))


@pytest.mark.parametrize("math", ["float32", "bf16"])
def test_an_image_of_three_channels_is_taken_as_it_is(engine, math):
    """AlexNet's conv1: blocks on top alone, also in bf16, where channels come in pairs."""
    if math == "bf16" and BF16 not in engine.maths or not engine.isa.startswith("avx512"):
        pytest.skip(f"{engine.isa} has no such code")
    if math == "bf16" and engine.amx:
        pytest.skip(f"{engine.isa} has tiles, which read channels last")
    made = truth("Convolution", (1, 3, 31, 31), num_output=96, kernel_size=[11], stride=[4])
    plan = made.plans(engine, most=1, wanted=(False,), math=math)[0]
    assert [
        str(layout or "plain").split()[0] for layout in (*plan.bottom_layouts, *plan.top_layouts)
    ] == [
        "plain" if math == "float32" else "nchw",
        "nChw16c",
    ]


@pytest.mark.parametrize(
    "bottoms, weight, reason",
    [
        (2, (4, 3, 3, 3), "share filters"),
        (1, (4, 3), "axes, not 0"),
        (1, (4, 3, 1, 1, 1, 1), "axes, not 4"),
    ],
)
def test_what_it_has_no_plan_for_is_declined(engine, lenet, bottoms, weight, reason):
    request = lenet.request(bottom_shapes=lenet.request().bottom_shapes * bottoms)
    request = replace(request, params=(("weight", weight),), bottom_layouts=(None,) * bottoms)
    assert reason in engine.plans(ops.Conv(4, (3,)), request).reason
