"""Axpy against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(1)
A, X, B = RNG.standard_normal((2, 3, 1, 1)), *RNG.standard_normal((2, 2, 3, 4, 5))


def test_every_channel_of_every_item_has_its_weight():
    _, (y,) = run(build("Axpy"), A, X, B)
    for n, c, h, w in np.ndindex(X.shape):
        expected = A[n, c, 0, 0] * X[n, c, h, w] + B[n, c, h, w]
        np.testing.assert_allclose(y.data[n, c, h, w], expected, rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("Axpy"), A, X, B)
    check_backward(build("Axpy"), A[:, :, 0, 0], X, B)


def test_weights_for_other_channels_and_other_shapes_are_refused():
    layer = build("Axpy", name="a")
    for weights in ((2, 4), (2, 3, 2, 1), (3, 3)):
        with pytest.raises(LayerConfigError, match=r"'a': weights 'x0'.*(.|\n)*\(2, 3\)"):
            layer.top_shapes(weights, (2, 3, 4), (2, 3, 4))
    with pytest.raises(LayerConfigError, match=r"'x1' is \(2, 3, 4\), but 'x2' is \(2, 3, 5\)"):
        layer.top_shapes((2, 3), (2, 3, 4), (2, 3, 5))
