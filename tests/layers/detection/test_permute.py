"""Permute: every element in its new place; what is refused."""

import itertools

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

X = np.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_every_element_goes_to_its_new_place_and_back(order):
    layer = build("Permute", order=order)
    (x,), (y,) = run(layer, X)
    for index in np.ndindex(*y.shape):
        old = [0] * 4
        for new_axis, old_axis in enumerate(order):
            old[old_axis] = index[new_axis]
        assert y.data[index] == X[tuple(old)]
    y.diff[...] = y.data
    layer.backward([y], [True], [x])
    np.testing.assert_array_equal(x.diff, X)


def test_axes_that_are_not_named_follow_in_their_order():
    assert build("Permute", order=[2]).top_shapes((2, 3, 4, 5)) == ((4, 2, 3, 5),)
    assert build("Permute").top_shapes((2, 3)) == ((2, 3),)


def test_an_axis_named_twice_or_outside_is_refused():
    with pytest.raises(LayerConfigError, match=r"'p'.*order \(1, 0, 1\) names axis 1 more than"):
        build("Permute", name="p", order=[1, 0, 1])
    with pytest.raises(LayerConfigError, match=r"'p'.*names axis 3, but the bottom \(2, 3\)"):
        build("Permute", name="p", order=[0, 3]).top_shapes((2, 3))
