"""ArgMax against its definition and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

# Small whole numbers, so that many are equal.
X = np.random.default_rng(7).integers(-2, 3, (3, 6, 4)).astype(float)


def ranking(numbers):
    """Indices, the largest number's first; of equal numbers, the later index first."""
    return sorted(range(len(numbers)), key=lambda i: (numbers[i], i), reverse=True)


@pytest.mark.parametrize("top_k", [1, 2, 6])
@pytest.mark.parametrize("out_max_val", [False, True])
@pytest.mark.parametrize("axis", [1, -2])
def test_along_an_axis_the_top_has_indices_or_values(axis, out_max_val, top_k):
    layer = build("ArgMax", axis=axis, out_max_val=out_max_val, top_k=top_k)
    _, (y,) = run(layer, X)
    assert y.shape == (3, top_k, 4)
    for n, w in np.ndindex(3, 4):
        best = ranking(X[n, :, w])[:top_k]
        expected = X[n, best, w] if out_max_val else best
        np.testing.assert_array_equal(y.data[n, :, w], expected)


@pytest.mark.parametrize("top_k", [1, 3, 24])
def test_without_an_axis_each_item_is_one_row_of_indices(top_k):
    _, (y,) = run(build("ArgMax", top_k=top_k), X)
    assert y.shape == (3, 1, top_k)
    for n in range(3):
        np.testing.assert_array_equal(y.data[n, 0], ranking(X[n].reshape(-1))[:top_k])


def test_without_an_axis_values_come_behind_the_indices():
    _, (y,) = run(build("ArgMax", top_k=3, out_max_val=True), X)
    assert y.shape == (3, 2, 3)
    for n in range(3):
        best = ranking(X[n].reshape(-1))[:3]
        np.testing.assert_array_equal(y.data[n], [best, X[n].reshape(-1)[best]])


@pytest.mark.parametrize(
    "bottom, top",
    [
        ((5,), (5, 1, 1)),
        ((5, 4), (5, 1, 1)),
        ((5, 4, 3), (5, 1, 1)),
        ((5, 4, 3, 2), (5, 1, 1, 1)),
        ((5, 4, 3, 2, 2), (5, 1, 1, 1, 1)),
    ],
)
def test_without_an_axis_the_top_has_at_least_three(bottom, top):
    assert build("ArgMax").top_shapes(bottom) == (top,)


def test_what_is_minus_infinity_is_counted_too():
    x = np.array([[-np.inf, 2.0, -np.inf, -np.inf, 5.0]])
    _, (y,) = run(build("ArgMax", axis=1, top_k=5), x)
    np.testing.assert_array_equal(y.data, [[4, 1, 3, 2, 0]])


def test_beside_a_nan_nothing_is_largest():
    x = np.array([[1.0, np.nan, 2.0], [1.0, 3.0, 2.0]])
    _, (y,) = run(build("ArgMax", top_k=2, out_max_val=True), x)
    np.testing.assert_array_equal(y.data[0], [[-1, -1], [np.nan, np.nan]])
    np.testing.assert_array_equal(y.data[1], [[1, 2], [3, 2]])


REFUSED = {
    "none": (dict(top_k=0), (3, 4), "top_k is 0"),
    "too many along the axis": (dict(top_k=5, axis=0), (4, 9), "top_k is 5.*there are 4"),
    "too many in an item": (dict(top_k=7), (9, 2, 3), "top_k is 7.*there are 6"),
    "no axis": (dict(axis=2), (3, 4), r"axis is 2.*\(3, 4\) has 2 axes"),
    "a number": (dict(), (), "a single number"),
}


@pytest.mark.parametrize("params, bottom, found", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_ranked_is_refused(params, bottom, found):
    with pytest.raises(LayerConfigError, match=rf"ArgMax layer 'a'.*{found}"):
        build("ArgMax", name="a", **params).top_shapes(bottom)
