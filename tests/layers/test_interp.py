"""Interp against the definition of bilinear interpolation, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(9).standard_normal((2, 3, 5, 6))
CASES = {
    "larger": (dict(height=9, width=13), (9, 13)),
    "smaller and larger": (dict(height=3, width=7), (3, 7)),
    "one row": (dict(height=1, width=6), (1, 6)),
    "zoom": (dict(zoom_factor=3), (13, 16)),
    "shrink": (dict(shrink_factor=2), (3, 3)),
    "shrink, then zoom": (dict(shrink_factor=2, zoom_factor=3), (7, 7)),
    "cut off": (dict(height=4, width=5, pad_beg=-1, pad_end=-2), (4, 5)),
}


def interpolated(x, height, width, begin=0, end=0):
    x = x[..., begin : x.shape[2] - end, begin : x.shape[3] - end]
    rows, columns = x.shape[2:]
    y = np.empty((*x.shape[:2], height, width))
    for i, j in np.ndindex(height, width):
        v = i * (rows - 1) / (height - 1) if height > 1 else 0
        u = j * (columns - 1) / (width - 1) if width > 1 else 0
        r, c = min(math.floor(v + 1e-9), rows - 1), min(math.floor(u + 1e-9), columns - 1)
        below, right = min(r + 1, rows - 1), min(c + 1, columns - 1)
        f, g = v - r, u - c
        upper = (1 - g) * x[:, :, r, c] + g * x[:, :, r, right]
        lower = (1 - g) * x[:, :, below, c] + g * x[:, :, below, right]
        y[:, :, i, j] = (1 - f) * upper + f * lower
    return y


@pytest.mark.parametrize("keywords, size", CASES.values(), ids=CASES.keys())
def test_forward_weighs_the_four_neighbours(keywords, size):
    layer = build("Interp", **keywords)
    _, (y,) = run(layer, X)
    cut = -keywords.get("pad_beg", 0), -keywords.get("pad_end", 0)
    assert y.shape == (2, 3, *size)
    np.testing.assert_allclose(y.data, interpolated(X, *size, *cut), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("keywords, size", CASES.values(), ids=CASES.keys())
def test_backward_is_the_derivative_of_forward(keywords, size):
    check_backward(build("Interp", **keywords), X, limit=12)


def test_corners_stay_corners_and_one_pixel_fills_the_top():
    _, (y,) = run(build("Interp", height=11, width=8), X)
    np.testing.assert_allclose(y.data[..., [0, 0, -1, -1], [0, -1, 0, -1]],
                               X[..., [0, 0, -1, -1], [0, -1, 0, -1]], rtol=1e-12)  # fmt: skip
    _, (y,) = run(build("Interp", height=2, width=3), np.full((1, 1, 1, 1), 4.0))
    assert (y.data == 4).all()


@pytest.mark.parametrize(
    "keywords, found",
    [
        (dict(), "nothing gives the size"),
        (dict(height=3), "height gives the size"),
        (dict(height=3, width=3, zoom_factor=2), "height and width and zoom_factor"),
        (dict(zoom_factor=0), "zoom_factor is 0"),
        (dict(zoom_factor=2, pad_end=1), "pad_end is 1"),
    ],
)
def test_unclear_sizes_are_refused(keywords, found):
    with pytest.raises(LayerConfigError, match=rf"Interp layer 'i'.*{found}"):
        build("Interp", name="i", **keywords)


def test_a_bottom_that_is_cut_off_wholly_is_refused():
    with pytest.raises(LayerConfigError, match=r"cut \(2, 3\) off the bottom \(2, 3, 5, 6\)"):
        build("Interp", zoom_factor=2, pad_beg=-2, pad_end=-3).top_shapes(X.shape)
