"""NormL2: items of length 1, whatever their shape."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(3).standard_normal((4, 3, 2))


def test_forward_divides_each_item_by_its_length():
    _, (y,) = run(build("NormL2"), X)
    for item, got in zip(X, y.data, strict=True):
        length = sum(v * v for v in item.ravel()) + 1e-7
        np.testing.assert_allclose(got, item / length**0.5, rtol=1e-12)


def test_backward_is_the_derivative_of_forward_near_0_as_well():
    check_backward(build("NormL2"), X)
    check_backward(build("NormL2"), np.full((2, 3), 1e-3) * [[1, -1, 2]], tolerance=1e-4)


def test_an_item_of_zeros_stays_so():
    _, (y,) = run(build("NormL2"), np.zeros((2, 3)))
    np.testing.assert_array_equal(y.data, 0)


def test_an_empty_bottom_is_refused():
    with pytest.raises(LayerConfigError, match=r"'l'.*shape \(0, 3\)"):
        build("NormL2", name="l").top_shapes((0, 3))
