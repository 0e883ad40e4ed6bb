"""LRN plans against the float64 layer: fast in every arrangement, or asked for in another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.math import BF16
from minidl.engines.onednn import lrn
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange, check, first, needs_avx512, request


@pytest.fixture(autouse=True)
def fast_backward(engine):
    needs_avx512(engine, "LRN's backward")


def values(shape, scale=2.0):
    return np.random.default_rng(0).standard_normal(shape) * scale


@given(
    shape=st.tuples(
        st.integers(1, 3), st.sampled_from((2, 3, 16, 20, 32)), st.integers(2, 7), st.integers(2, 7)
    ),
    size=st.sampled_from((3, 5)),
    k=st.sampled_from((1.0, 2.0)),
    name=st.sampled_from(sorted(ARRANGEMENTS)),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_layer_across_channels(engine, shape, size, k, name):
    # alpha is near 1, so that every neighbour in the window matters.
    layer = build("LRN", local_size=size, alpha=0.9, k=k)
    plan = check(engine, layer.op, layer, [values(shape)], [arrange(engine, name, shape)])
    assert not any("ref" in passed for passed in plan.passes.values())


@pytest.mark.parametrize("name", ["plain", "nhwc", "nChw16c"])
@pytest.mark.parametrize("size", [3, 5])
def test_it_is_the_layer_within_a_channel(engine, name, size):
    """With zeros beyond the border, and alpha divided by all places of the square."""
    layer = build("LRN", local_size=size, alpha=5.0, norm_region="WITHIN_CHANNEL")
    x = values((2, 32, 9, 11))
    check(engine, layer.op, layer, [x], [arrange(engine, name, x.shape)])


@pytest.mark.parametrize(
    ("channels", "size", "chosen"),
    [(96, 5, "nChw16c"), (96, 3, "nhwc"), (20, 5, "nhwc")],
)
def test_a_plain_bottom_is_asked_for_as_the_library_is_fast(engine, channels, size, chosen):
    shape = (2, channels, 13, 13)
    asked = request([np.zeros(shape)], [shape], [None])
    plan = first(engine.plans(ops.LRN(size, 0.9 / size, 0.75, 1.0), asked))
    assert {str(layout) for layout in (*plan.bottom_layouts, *plan.top_layouts)} == {chosen}


def test_in_bf16_it_asks_for_half_the_bytes(engine):
    if BF16 not in engine.maths:
        pytest.skip(f"{engine.isa} multiplies no bfloat16 numbers")
    shape = (2, 96, 13, 13)
    asked = request([np.zeros(shape)], [shape], [None], math="bf16")
    plan = first(engine.plans(ops.LRN(5, 0.2, 0.75, 1.0), asked))
    assert str(plan.bottom_layouts[0]) == str(plan.top_layouts[0]) == "nChw16c bf16"


@pytest.mark.parametrize("name", ["nhwc", "nChw16c", "nhwc bf16", "nChw16c bf16"])
def test_it_stays_in_the_arrangement_in_which_the_bottom_arrives(engine, name):
    shape = (2, 96, 13, 13)
    layout = arrange(engine, name, shape)
    plan = first(
        engine.plans(ops.LRN(5, 0.2, 0.75, 1.0), request([np.zeros(shape)], [shape], [layout]))
    )
    assert plan.bottom_layouts == plan.top_layouts == (layout,)
    assert plan.keeps == ("bottom",)


def test_inference_keeps_nothing(engine):
    shape = (1, 96, 13, 13)
    asked = request([np.zeros(shape)], [shape], [None], backward=False)
    plan = first(engine.plans(ops.LRN(5, 0.2, 0.75, 1.0), asked))
    assert plan.keeps == () and plan.saved == 0


@pytest.mark.parametrize("size", [1, 7, 9])
def test_it_declines_windows_that_the_library_gets_wrong(engine, size):
    """A window of 1 would end the process."""
    shape = (2, 20, 9, 9)
    answer = engine.plans(
        ops.LRN(size, 0.1, 0.75, 1.0), request([np.zeros(shape)], [shape], [None])
    )
    assert isinstance(answer, Declined) and f"windows of {size}" in answer.reason


def test_half_filled_registers_of_bf16_are_kept_away_from(engine):
    """The library's sums are wrong there; in float32 they are right."""
    shape = (2, 20, 13, 13)
    layout = arrange(engine, "nhwc bf16", shape)
    asked = request(
        [np.zeros(shape)], [shape], [layout], math="bf16" if BF16 in engine.maths else "float32"
    )
    plan = first(engine.plans(ops.LRN(5, 0.2, 0.75, 1.0), asked))
    assert str(plan.bottom_layouts[0]) == "nhwc"


@pytest.mark.parametrize(
    "op",
    [ops.LRN(5, 0.9 / 25, 0.75, 1.0, within=True), ops.LRN(5, 0.9 / 5, 0.5, 1.0)],
    ids=["20 channels, within", "another beta than 0.75"],
)
def test_it_declines_where_there_is_only_reference_code(engine, op):
    shape = (2, 20, 9, 9)
    answer = engine.plans(op, request([np.zeros(shape)], [shape], [None]))
    assert (
        isinstance(answer, Declined) and "only reference code for nchw or nChw16c" in answer.reason
    )


def test_the_second_candidate_keeps_nothing_from_forward_to_backward(engine):
    shape = (2, 96, 13, 13)
    layout = arrange(engine, "nChw16c", shape)
    op, asked = ops.LRN(5, 0.2, 0.75, 1.0), request([np.zeros(shape)], [shape], [layout])
    quick, frugal = engine.plans(op, asked)
    assert quick.saved == 2 * layout.nbytes and quick.workspace == 0
    assert frugal.saved == 0 and frugal.workspace >= 2 * layout.nbytes


@pytest.mark.parametrize(("images", "parts"), [(6, 3), (5, 5)])
def test_it_works_out_again_a_bounded_number_of_images_at_a_time(
    engine, monkeypatch, images, parts
):
    monkeypatch.setattr(lrn, "ROOM", 100_000)  # 2 of these images, which do not divide 5
    x = values((images, 32, 13, 13))
    layer = build("LRN", local_size=5, alpha=0.9, k=2.0)
    check(engine, layer.op, layer, [x], [arrange(engine, "nChw16c", x.shape)])
    asked = request([x], [x.shape], [arrange(engine, "nChw16c", x.shape)])
    _, frugal = engine.plans(layer.op, asked)
    assert frugal.parts == parts and frugal.workspace <= 100_000
