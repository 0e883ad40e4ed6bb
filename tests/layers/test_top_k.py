"""TopK against a sort, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

X = np.random.default_rng(5).standard_normal((4, 3, 2, 5))


def by_sorting(x, k):
    y = np.zeros_like(x)
    for item, out in zip(x.reshape(len(x), -1), y.reshape(len(x), -1), strict=True):
        for i in sorted(range(item.size), key=lambda i: -item[i])[:k]:  # a stable sort
            out[i] = item[i]
    return y


@pytest.mark.parametrize("k", [1, 7, 29, 30])
def test_the_largest_of_each_item_are_kept(k):
    _, (y,) = run(build("TopK", k=k), X)
    np.testing.assert_array_equal(y.data, by_sorting(X, k))


def test_of_equal_ones_the_first_are_kept():
    x = np.array([[1.0, 2, 1, 1, 0], [0, 0, 0, 0, 0], [-1, -1, -2, -1, -3]])
    layer = build("TopK", k=2)
    _, (y,) = run(layer, x)
    np.testing.assert_array_equal(y.data, [[1, 2, 0, 0, 0], [0] * 5, [-1, -1, 0, 0, 0]])
    assert layer.kept.sum(axis=1).tolist() == [2, 2, 2]


def test_outside_training_a_times_as_many_are_kept():
    _, (y,) = run(build("TopK", k=3, a=2.5, phase=schema.TEST), X)
    np.testing.assert_array_equal(y.data, by_sorting(X, 7))


@pytest.mark.parametrize("in_place", [False, True])
def test_the_gradient_of_what_is_dropped_is_zero(in_place):
    check_backward(build("TopK", k=8), X)
    layer = build("TopK", k=8, in_place=in_place)
    bottom, top = bind(layer, X)
    layer.forward(bottom, top)
    top[0].diff.fill(3)
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, 3 * (by_sorting(X, 8) != 0))


@pytest.mark.parametrize(
    "keywords, message",
    [
        (dict(), "k is 0 or missing"),
        (dict(k=31), "k is 31, but each item(.|\n)*as many or more"),
        (dict(k=3, a=-1), "a is -1"),
        (dict(k=3, a=0.1, phase=schema.TEST), "a is 0.1, so a . k is below 1"),
    ],
)
def test_refusals_name_the_layer_and_the_number(keywords, message):
    with pytest.raises(LayerConfigError, match=f"TopK layer 'sparse'.*{message}"):
        build("TopK", name="sparse", **keywords).top_shapes(X.shape)
