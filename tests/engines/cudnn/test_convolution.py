"""cuDNN's convolutions against the layers' array code in float64: every candidate, every pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.request import Declined
from tests.engines.cudnn.as_layer import replayed
from tests.engines.cudnn.convolved import convolved
from tests.engines.harness import Bound, plain

CASES = {
    "plain": dict(shape=(2, 4, 9, 7), num_output=6, kernel_size=[3], pad=[1]),
    "strides": dict(shape=(1, 3, 23, 21), num_output=4, kernel_size=[5], stride=[2]),
    "1 x 1": dict(shape=(2, 6, 5, 3), num_output=5, kernel_size=[1]),
    "groups": dict(shape=(2, 6, 5, 7), num_output=4, kernel_size=[3], group=2, pad=[1]),
    "depthwise": dict(shape=(2, 5, 6, 5), num_output=5, kernel_size=[3], group=5),
    "no bias": dict(shape=(2, 6, 6, 6), num_output=3, kernel_size=[3], bias_term=False),
}
AXES = {
    "one axis": dict(shape=(2, 6, 11), num_output=5, kernel_size=[3], dilation=[2]),
    "three axes": dict(shape=(2, 3, 4, 5, 6), num_output=4, kernel_size=[2], stride=[2]),
    "axis 2": dict(shape=(2, 3, 4, 5, 4), num_output=6, kernel_size=[3], axis=2),
}
TRANSPOSED = {
    "enlarge": dict(shape=(2, 6, 4, 5), num_output=4, kernel_size=[4], stride=[2], pad=[1]),
    "groups": dict(shape=(1, 6, 4, 3), num_output=9, kernel_size=[3], pad=[1], group=3),
}
IMAGES = [("Convolution", case) for case in CASES.values()]
IMAGES += [("Deconvolution", case) for case in TRANSPOSED.values()]
NAMES = [*CASES, *(f"transposed: {name}" for name in TRANSPOSED)]


@pytest.mark.parametrize("math", ["float32", "tf32", "fp16", "bf16"])
@pytest.mark.parametrize("kind, case", IMAGES, ids=NAMES)
def test_every_candidate_computes_what_the_layer_does(engine, kind, case, math):
    expected = convolved(kind, math=math, **case)
    for plan in expected.plans(engine):
        expected.check(plan)


@pytest.mark.parametrize("case", AXES.values(), ids=AXES)
def test_one_and_three_axes_and_images_of_images(engine, case):
    expected = convolved("Convolution", **case)
    for plan in expected.plans(engine):
        assert plan.bottom_layouts == (None,)
        expected.check(plan)


@st.composite
def convolutions(draw):
    """(type, fields, shape): small and odd."""
    kind = draw(st.sampled_from(["Convolution", "Convolution", "Deconvolution"]))
    axes = draw(st.sampled_from([1, 2, 2, 2, 3]))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = (group * draw(st.integers(1, 3)) for _ in range(2))
    fields = dict(num_output=outputs, group=group, bias_term=draw(st.booleans()))
    for name, most in dict(kernel_size=4, stride=3, dilation=2).items():
        fields[name] = [draw(st.integers(1, most)) for _ in range(axes)]
    fields["pad"] = [draw(st.integers(0, 2)) for _ in range(axes)]
    size = tuple(draw(st.integers(1, 9)) for _ in range(axes))
    geometry = (fields[name] for name in ("kernel_size", "stride", "pad", "dilation"))
    op = ops.Conv(outputs, *map(tuple, geometry), transposed=kind == "Deconvolution")
    assume(min(op.out(size)) > 0)
    return kind, fields, (draw(st.integers(1, 3)), inputs, *size)


@given(convolutions())
@settings(max_examples=50)
def test_any_geometry(engine, drawn):
    kind, fields, shape = drawn
    expected = convolved(kind, shape, **fields)
    found = engine.plans(expected.op, expected.truth.request())
    if isinstance(found, Declined):
        assert "overhang" in found.reason
        return
    for plan in found:
        expected.check(plan)


# ------------------------------------------------------------------ parameters


@pytest.fixture(scope="module")
def lenet():
    return convolved("Convolution", (3, 4, 7, 7), num_output=5, kernel_size=[5])


@pytest.mark.parametrize("math", ["float32", "fp16"])
def test_gradients_that_are_not_fresh_are_added_to(engine, math):
    made = convolved("Convolution", math=math, **CASES["plain"])
    rng = np.random.default_rng(5)
    there = {n: rng.standard_normal(v.shape) for n, v in made.truth.params.items()}
    for plan in made.plans(engine):
        made.check(plan, there)


def test_a_second_backward_adds_to_the_first(engine, lenet):
    of = lenet.truth
    for plan in lenet.plans(engine):
        bound = Bound(plan, [of.x], [of.y.shape], of.params, [True])
        bound.run([of.dy])
        _, _, written = bound.run([of.dy])
        lenet.close(plan, "weight", written["weight"], 2 * of.gradients["weight"])


@pytest.mark.parametrize("learning", [("bias",), ("weight",), ()], ids=str)
@pytest.mark.parametrize("math", ["float32", "fp16"])
def test_only_what_is_learning_gets_a_gradient(engine, math, learning):
    made = convolved("Convolution", math=math, **CASES["plain"])
    of = made.truth
    for plan in made.plans(engine, learning=learning):
        assert plan.keeps == (("bottom",) if "weight" in learning else ())
        assert ("backward filter" in plan.passes) == ("weight" in learning)
        bound = Bound(plan, [of.x], [of.y.shape], of.params, [True])
        _, (dx,), written = bound.run([of.dy])
        assert written.keys() == set(learning)
        made.close(plan, "dx", dx, of.dx)
        for name in learning:
            made.close(plan, name, written[name], of.gradients[name])


def test_a_bottom_whose_gradient_nobody_wants_costs_no_pass(engine, lenet):
    of = lenet.truth
    for plan in lenet.plans(engine, wanted=(False,)):
        assert plan.passes.keys() == {"forward", "backward filter"}
        bound = Bound(plan, [of.x], [of.y.shape], of.params, [False])
        _, dx, written = bound.run([of.dy])
        assert dx == [None]
        lenet.close(plan, "weight", written["weight"], of.gradients["weight"])


@pytest.mark.parametrize("math", ["float32", "bf16"])
def test_without_training_changed_filters_are_noticed(engine, math):
    made = convolved("Convolution", math=math, **CASES["plain"])
    idle = dict(training=False, backward=False, wanted=(), learning=())
    of = made.truth
    for plan in made.plans(engine, **idle):
        assert plan.passes.keys() == {"forward"}
        bound = Bound(plan, [of.x], [of.y.shape], of.params)
        assert bound.backward is None
        (y,), _, _ = bound.run()
        made.close(plan, "y", y, of.y)
        bound.params["weight"].values.write(-of.params["weight"])
        bound.params["bias"].values.write(-of.params["bias"])
        (again,), _, _ = bound.run()
        np.testing.assert_array_equal(again, -y)


def test_parameters_live_in_plain_arrays_whatever_the_passes_want(engine):
    for math in ("float32", "fp16"):
        made = convolved("Convolution", math=math, **CASES["plain"])
        for plan in made.plans(engine):
            assert plan.params == {"weight": None, "bias": None}


@pytest.mark.parametrize("math", ["float32", "fp16"])
def test_a_graph_captures_all_that_runs(engine, math):
    made = convolved("Convolution", math=math, **CASES["plain"])
    of = made.truth
    for plan in made.plans(engine):
        bound = Bound(plan, [of.x], [of.y.shape], of.params, [True])
        bound.top_diff[0].assign(np.float32(of.dy))
        replayed(bound)
        made.close(plan, "y", plain(bound.top[0]), of.y)
        made.close(plan, "dx", plain(bound.bottom_diff[0]), of.dx)
        for name, expected in of.gradients.items():
            made.close(plan, name, plain(bound.params[name].gradient.memory), expected)


# ------------------------------------------------------------------ which plan


def test_plain_arrays_come_first_then_channels_last(engine, lenet):
    plain, last = lenet.plans(engine)[:2]
    assert plain.bottom_layouts == plain.top_layouts == (None,)
    assert last.bottom_layouts == (Dense(lenet.truth.x.shape, "float32", "nhwc"),)


def test_half_numbers_are_asked_for_channels_last(engine):
    for math, dtype in dict(fp16="float16", bf16="bfloat16").items():
        made = convolved("Convolution", math=math, **CASES["plain"])
        for plan in made.plans(engine):
            assert plan.bottom_layouts == (Dense(made.truth.x.shape, dtype, "nhwc"),)
            assert plan.top_layouts == (Dense(made.truth.y.shape, dtype, "nhwc"),)


def test_a_name_goes_before_speed_in_every_pass_that_has_it(engine, lenet):
    plan = lenet.plans(engine, algorithm="fft_tiling")[0]
    assert plan.algorithm == "fft_tiling" and set(plan.passes.values()) == {"fft_tiling"}
    assert not plan.notes
    lenet.check(plan)


def test_a_pass_without_the_algorithm_takes_another_and_says_so(engine, lenet):
    plan = lenet.plans(engine, algorithm="direct")[0]
    lenet.check(plan)
    assert plan.notes["forward"].endswith("direct is not supported for this shape and chip")
    assert plan.notes["backward filter"].endswith("as this pass has no direct")


def test_an_algorithm_that_the_chip_lacks_gives_way_to_the_next(without):
    made = convolved("Convolution", **CASES["plain"])
    plan = made.plans(without("forward", "winograd"))[0]
    assert plan.passes["forward"] == "winograd_nonfused"
    made.check(plan)


def test_a_limit_holds_for_all_that_a_plan_takes(engine):
    made = convolved("Convolution", **CASES["plain"])
    limit = made.plans(engine)[0].workspace - 1
    for plan in made.plans(engine, limit=limit):
        assert plan.workspace <= limit
        made.check(plan)


def test_what_turns_out_to_need_more_than_the_limit_gives_way(engine, monkeypatch):
    """The library is asked again for the workspace of the very call that will be made."""
    made = convolved("Convolution", **CASES["plain"])
    settled = engine.algorithms.settled

    def more(problem, way, algorithm):
        found = settled(problem, way, algorithm)
        return replace(found, workspace=10**6) if "winograd" in found.name else found

    monkeypatch.setattr(engine.algorithms, "settled", more)
    for plan in made.plans(engine, limit=10**5):
        assert not any("winograd" in name for name in plan.passes.values())


def test_conversions_count_as_workspace_too(engine):
    """In fp16 the gradient of the filters is written halved and in another order first."""
    made = convolved("Convolution", math="fp16", **CASES["plain"])
    needed = made.plans(engine)[0].workspace
    answer = engine.plans(made.op, made.truth.request(math="fp16", limit=needed - 1))
    assert isinstance(answer, Declined)
    assert "backward filter: algo1: in need of" in answer.reason


def test_no_workspace_is_a_matter_of_algorithms(engine, lenet):
    plan = lenet.plans(engine, algorithm="no_workspace")[0]
    assert plan.workspace == 0 and not plan.notes
    assert set(plan.passes.values()) == {"implicit_gemm", "algo1"}
    lenet.check(plan)


def test_deterministic_leaves_out_what_is_not(without):
    made = convolved("Convolution", **CASES["strides"])
    few = without("backward filter", "algo1")
    plan = made.plans(few)[0]
    assert plan.passes["backward filter"] == "algo3"
    answer = few.plans(made.op, made.truth.request(deterministic=True))
    assert isinstance(answer, Declined)
    assert "algo3: not deterministic" in answer.reason


# ------------------------------------------------------------------ declined


OVERHANG = dict(num_output=3, kernel_size=[4], stride=[3], pad=[0])


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            dict(bottom_shapes=((3, 4, 7, 7),) * 2, bottom_layouts=(None,) * 2),
            "2 bottoms that share filters",
        ),
        (dict(params=(("weight", (5, 4)),)), "one to three axes, not 0"),
        (dict(homes=(Dense((5, 4, 5, 5), "float16"), None)), "filters in plain arrays"),
        (dict(bottom_shapes=((0, 4, 7, 7),)), "a bottom or top is empty"),
    ],
)
def test_what_it_has_no_plan_for_is_declined(engine, lenet, changes, said):
    answer = engine.plans(lenet.op, lenet.truth.request(**changes))
    assert isinstance(answer, Declined) and said in answer.reason


def test_a_kernel_over_the_edge_is_declined(engine):
    made = convolved("Convolution", (1, 2, 2, 2), **OVERHANG)
    assert "do not overhang" in engine.plans(made.op, made.truth.request()).reason


def test_a_relu_with_a_slope_is_left_to_others(engine, lenet):
    op = replace(lenet.op, then=ops.Activation("relu", slope=0.25))
    assert "no relu of slope 0.25" in engine.plans(op, lenet.truth.request()).reason


def test_half_numbers_of_one_and_three_axes_are_declined(engine):
    for case in AXES.values():
        made = convolved("Convolution", math="fp16", **case)
        assert (
            "takes N C H W alone" in engine.plans(made.op, made.truth.request(math="fp16")).reason
        )
