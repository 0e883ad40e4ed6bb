"""Resize against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(9).standard_normal((2, 3, 5, 6))
FACTORS = dict(is_pyramid_test=True, out_height_scale=0.7, out_width_scale=1.5)
CASES = {
    "larger": (dict(height=9, width=13), (9, 13)),
    "smaller and larger": (dict(height=3, width=7), (3, 7)),
    "one": (dict(height=1, width=1), (1, 1)),
    "the same": (dict(height=5, width=6), (5, 6)),
    "factors": (FACTORS, (3, 9)),
}


def resized(x, height, width):
    """From the four places around; one that would lie beyond the image adds nothing."""
    rows, columns = x.shape[2:]
    y = np.zeros((*x.shape[:2], height, width))
    for i, j in np.ndindex(height, width):
        r, c = math.floor(i * rows / height + 1e-9), math.floor(j * columns / width + 1e-9)
        f, g = i * rows / height - r, j * columns / width - c
        for row, column, weight in (
            (r, c, (1 - f) * (1 - g)),
            (r, c + 1, (1 - f) * g),
            (r + 1, c, f * (1 - g)),
            (r + 1, c + 1, f * g),
        ):
            if row < rows and column < columns:
                y[:, :, i, j] += weight * x[:, :, row, column]
    return y


@pytest.mark.parametrize("keywords, size", CASES.values(), ids=CASES.keys())
def test_forward_weighs_the_four_neighbours(keywords, size):
    _, (y,) = run(build("Resize", **keywords), X)
    np.testing.assert_allclose(y.data, resized(X, *size), atol=1e-12)


@pytest.mark.parametrize("keywords, size", CASES.values(), ids=CASES.keys())
def test_backward_is_the_derivative_of_forward(keywords, size):
    check_backward(build("Resize", **keywords), X, limit=12)


@pytest.mark.parametrize(
    "keywords, message",
    [
        (dict(height=3), "width is missing"),
        (dict(height=0, width=3), "height is 0"),
        (dict(is_pyramid_test=True, out_height_scale=1), "out_width_scale is missing"),
        (dict(is_pyramid_test=True, out_height_scale=0.1, out_width_scale=1), "becomes 0 x 6"),
    ],
)
def test_refusals_name_the_layer_and_the_number(keywords, message):
    with pytest.raises(LayerConfigError, match=f"Resize layer 'small'.*{message}"):
        build("Resize", name="small", **keywords).top_shapes(X.shape)
