"""A convolution's bias and ReLU: in one call with its products, or in calls of their own."""

from dataclasses import replace

import numpy as np
import pytest

from minidl import ops
from minidl.engines.request import Declined
from tests.engines.cudnn.convolved import convolved
from tests.engines.cudnn.test_convolution import CASES, TRANSPOSED


@pytest.fixture
def refuse(engine, monkeypatch):
    """refuse(kind): from now on the library answers "no" to trials of that kind."""

    def kind(name):
        monkeypatch.setattr(
            engine.trials, "refusal", lambda key, *args: "no" if key[0] == name else ""
        )

    return kind


@pytest.mark.parametrize("math", ["float32", "fp16"])
@pytest.mark.parametrize("name", ["plain", "strides", "no bias"])
def test_the_relu_that_follows_is_done_in_forward(engine, name, math):
    made = convolved("Convolution", math=math, **CASES[name])
    op = replace(made.op, then=ops.Activation("relu"))
    for plan in engine.plans(op, made.truth.request(math=math)):
        assert plan.fused == op.bias
        made.check(plan, y=np.maximum(made.truth.y, 0))  # dy is what comes out below the ReLU


def test_what_cannot_be_done_in_one_call_is_done_in_several(engine, refuse):
    """A bias without a ReLU goes with one algorithm alone; and a chip may have no such call."""
    made = convolved("Convolution", **CASES["plain"])
    by_name = {p.passes["forward"]: p for p in made.plans(engine)}
    assert by_name["implicit_precomp_gemm"].fused and not by_name["winograd"].fused
    refuse("fused")
    op = replace(made.op, then=ops.Activation("relu"))
    for plan in engine.plans(op, made.truth.request()):
        assert not plan.fused
        made.check(plan, y=np.maximum(made.truth.y, 0))


@pytest.mark.parametrize("math", ["float32", "bf16"])
def test_a_transposed_convolution_has_them_in_calls_of_their_own(engine, math):
    made = convolved("Deconvolution", math=math, **TRANSPOSED["enlarge"])
    op = replace(made.op, then=ops.Activation("relu"))
    for plan in engine.plans(op, made.truth.request(math=math)):
        assert not plan.fused
        made.check(plan, y=np.maximum(made.truth.y, 0))


def test_where_not_even_that_can_be_had_there_is_no_plan(engine, refuse):
    made = convolved("Convolution", **CASES["plain"])
    refuse("epilogue")
    assert engine.plans(made.op, made.truth.request()) == Declined("no")


def test_a_chip_without_the_algorithm_that_adds_a_bias_alone_adds_it_apart(without):
    made = convolved("Convolution", **CASES["plain"])
    engine = without("forward", "implicit_precomp_gemm")
    for plan in made.plans(engine, algorithm="gemm"):
        assert not plan.fused
        made.check(plan)
