"""Activation plans against the float64 layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.harness import run_plan
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange, check, first, request

KINDS = {
    "ReLU": ops.Activation("relu"),
    "leaky": ops.Activation("relu", 0.25),
    "steep": ops.Activation("relu", 2.0),
    "Sigmoid": ops.Activation("sigmoid"),
    "TanH": ops.Activation("tanh"),
}


def layer_of(op, in_place):
    if op.kind == "relu":
        return build("ReLU", negative_slope=op.slope, in_place=in_place)
    return build({"sigmoid": "Sigmoid", "tanh": "TanH"}[op.kind], in_place=in_place)


def values(shape):
    """Signed, with zeros among them, where the gradient of a ReLU is that of its negative side."""
    x = np.random.default_rng(0).standard_normal(shape) * 3
    x.reshape(-1)[::5] = 0
    return x


@given(
    op=st.sampled_from(list(KINDS.values())),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple),
    in_place=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_layer_on_plain_arrays(engine, op, shape, in_place):
    layer = layer_of(op, in_place)
    plan = check(engine, op, layer, [values(shape)], [None], in_place=in_place)
    assert plan.bottom_layouts == plan.top_layouts == (None,)


@pytest.mark.parametrize("channels", [16, 20])
@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in place"])
@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("op", KINDS.values(), ids=KINDS)
def test_it_is_the_layer_in_every_arrangement(engine, op, name, in_place, channels):
    x = values((2, channels, 5, 3))
    layout = arrange(engine, name, x.shape)
    plan = check(engine, op, layer_of(op, in_place), [x], [layout], in_place=in_place)
    assert not any("ref" in passed for passed in plan.passes.values())
    spoils_padding = op.kind == "sigmoid" and name.startswith("nC") and channels % 8
    if not spoils_padding:
        assert plan.bottom_layouts == plan.top_layouts == (layout,)


@pytest.mark.parametrize(
    ("kind", "keeps"), [("ReLU", "top sign"), ("leaky", "top sign"), ("TanH", "top")]
)
def test_backward_reads_the_top_only(engine, kind, keeps):
    asked = request([np.zeros((2, 3))], [(2, 3)], [None], in_place=True)
    plan = first(engine.plans(KINDS[kind], asked))
    assert plan.keeps == (keeps,) and plan.saved == plan.workspace == 0


def test_a_relu_makes_zero_of_nan(engine):
    """Unlike the layer and Caffe; with a slope it hands NaN on, too."""
    x = np.array([np.nan, -1, 2])
    for kind, expected in (("ReLU", [0, 0, 2]), ("leaky", [np.nan, -0.25, 2])):
        asked = request([x], [x.shape], [None], backward=False)
        (y,), _, _ = run_plan(first(engine.plans(KINDS[kind], asked)), [x], [x.shape])
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("op", "shape", "reason"),
    [
        (ops.Activation("relu", -0.1), (2, 3), "slope -0.1"),
        (KINDS["ReLU"], (), "not 0"),
        (KINDS["ReLU"], (1,) * 13, "not 13"),
    ],
)
def test_it_declines_what_the_library_cannot_do(engine, op, shape, reason):
    answer = engine.plans(op, request([np.zeros(shape)], [shape], [None]))
    assert isinstance(answer, Declined) and reason in answer.reason
