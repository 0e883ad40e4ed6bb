"""Transpose and Reverse: every element's new place, and the way back."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(1).standard_normal((2, 3, 4, 5))


@pytest.mark.parametrize("dim", [(3, 2, 0, 1), (1, 2, 3, 0), (0, 1, 2, 3)])
def test_every_element_goes_to_its_place(dim):
    layer = build("Transpose", dim=list(dim))
    _, (y,) = run(layer, X)
    for index in np.ndindex(X.shape):
        assert y.data[tuple(index[axis] for axis in dim)] == X[index]
    check_backward(layer, X, limit=20)


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_what_came_last_comes_first(axis):
    layer = build("Reverse", axis=axis)
    _, (y,) = run(layer, X)
    for index in np.ndindex(X.shape):
        place = list(index)
        place[axis] = X.shape[axis] - 1 - place[axis]
        assert y.data[tuple(place)] == X[index]
    check_backward(layer, X, limit=20)


@pytest.mark.parametrize("dim", [[], [0, 0], [1, 2], [0, -1]])
def test_an_order_that_is_none_is_refused(dim):
    with pytest.raises(LayerConfigError, match=r"(?s)'t'.*dim is .*each axis once"):
        build("Transpose", name="t", dim=dim)


def test_axes_that_are_not_there_are_refused():
    with pytest.raises(LayerConfigError, match=r"names 2 axes, but the bottom \(2, 3, 4\) has 3"):
        build("Transpose", dim=[1, 0]).top_shapes((2, 3, 4))
    with pytest.raises(LayerConfigError, match="axis is 3"):
        build("Reverse", axis=3).top_shapes((2, 3, 4))
