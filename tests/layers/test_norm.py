"""Norm against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

X = np.random.default_rng(5).standard_normal((2, 3, 4, 2))


@pytest.mark.parametrize("size", [1, 1e-5])
def test_every_place_is_divided_by_its_length(size):
    x, expected = X * size, np.empty_like(X)
    for n, i, j in np.ndindex(2, 4, 2):
        expected[n, :, i, j] = x[n, :, i, j] / (np.sqrt((x[n, :, i, j] ** 2).sum()) + 1e-6)
    _, (y,) = run(build("Norm"), x)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("Norm"), X)
    check_backward(build("Norm"), X * 1e-3, step=1e-8, tolerance=1e-5)  # where the 1e-6 matters


def test_a_place_of_zeros_stays_one_and_passes_its_gradient_times_a_million():
    layer = build("Norm")
    bottom, top = bind(layer, np.zeros((1, 3, 1, 1)))
    layer.forward(bottom, top)
    np.testing.assert_array_equal(top[0].data, 0)
    top[0].diff[...] = np.arange(3).reshape(1, 3, 1, 1)
    layer.backward(top, [True], bottom)
    np.testing.assert_allclose(bottom[0].diff.ravel(), [0, 1e6, 2e6])


def test_a_bottom_without_channels_is_refused():
    with pytest.raises(LayerConfigError, match="Norm layer 'n'.*has the shape"):
        build("Norm", name="n").top_shapes((4,))
