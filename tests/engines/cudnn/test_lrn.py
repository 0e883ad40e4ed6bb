"""cuDNN's local response normalisation against the float64 layer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.harness import build
from tests.engines.cudnn.as_layer import ARRANGEMENTS, check, reason

# alpha is near 1, so that a window one channel short, or an alpha that is not divided, shows.
SHAPE = (2, 7, 3, 2)


@given(
    shape=st.tuples(*(st.integers(1, most) for most in (2, 9, 3, 4))),
    size=st.sampled_from([1, 3, 5, 9, 15]),
    beta=st.sampled_from([0.5, 0.75, 1.5]),
)
def test_it_is_the_layer(engine, shape, size, beta):
    layer = build("LRN", local_size=size, alpha=1.5, beta=beta, k=0.7)
    check(engine, layer.op, layer, np.random.default_rng(0).standard_normal(shape))


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_it_stays_in_the_order_in_which_the_bottom_arrives(engine, name):
    layer = build("LRN", local_size=5, alpha=1.5, beta=0.75, k=2)
    x, layout = np.random.default_rng(0).standard_normal(SHAPE), ARRANGEMENTS[name](SHAPE)
    plan = check(engine, layer.op, layer, x, layout)
    assert plan.bottom_layouts == plan.top_layouts == (layout,)
    assert plan.keeps == ("bottom", "top")


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (ops.LRN(3, 0.1, 0.75, 1.0, within=True), "neighbours' deviation"),
        (ops.LRN(17, 0.1, 0.75, 1.0), "at most 16 channels, not 17"),
        (ops.LRN(3, 0.1, 0.75, 0.0), "k from 1e-05 on"),
        (ops.LRN(3, 0.1, 0.001, 1.0), "beta from 0.01 on"),
    ],
)
def test_it_declines_what_the_library_does_not_have(engine, op, said):
    assert said in reason(engine, op, SHAPE)
