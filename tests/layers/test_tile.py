"""Tile against its definition, its derivative, and its refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

CASES = {
    "channels": ((2, 3, 4), dict(tiles=3)),
    "items": ((2, 3), dict(tiles=2, axis=0)),
    "last axis": ((2, 3, 4), dict(tiles=4, axis=-1)),
    "once": ((2, 3), dict(tiles=1)),
}
cases = pytest.mark.parametrize("shape, params", CASES.values(), ids=CASES.keys())


def sample(shape):
    return np.random.default_rng(7).standard_normal(shape)


@cases
def test_copies_lie_behind_one_another(shape, params):
    x = sample(shape)
    _, (y,) = run(build("Tile", **params), x)
    copies = [x] * params["tiles"]
    np.testing.assert_array_equal(y.data, np.concatenate(copies, params.get("axis", 1)))


@cases
def test_backward_is_the_derivative_of_forward(shape, params):
    check_backward(build("Tile", **params), sample(shape))


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    tiles=st.integers(1, 4),
    data=st.data(),
)
def test_the_top_is_as_many_times_as_large_and_the_gradient_of_ones_is_the_count(
    shape, tiles, data
):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    layer = build("Tile", axis=axis, tiles=tiles)
    (x,), (y,) = run(layer, sample(shape))
    assert y.data.size == tiles * x.data.size
    assert y.shape[axis] == tiles * shape[axis]
    y.diff.fill(1)
    layer.backward([y], [True], [x])
    np.testing.assert_array_equal(x.diff, np.full(shape, tiles))


def test_there_is_at_least_one_copy_along_an_axis_that_exists():
    with pytest.raises(LayerConfigError, match=r"Tile layer 't'.*tiles is missing"):
        build("Tile", name="t")
    with pytest.raises(LayerConfigError, match=r"Tile layer 't'.*tiles is 0"):
        build("Tile", name="t", tiles=0)
    with pytest.raises(LayerConfigError, match=r"Tile layer 't'.*axis is 2.*\(2, 3\) has 2 axes"):
        build("Tile", name="t", tiles=2, axis=2).top_shapes((2, 3))
