"""Flip: every pixel in its mirrored place."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

X = np.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("down", [True, False])
def test_pixels_change_sides_and_come_back(across, down):
    layer = build("Flip", flip_width=across, flip_height=down)
    bottom, (y,) = run(layer, X)
    for n, c, i, j in np.ndindex(X.shape):
        assert y.data[n, c, 3 - i if down else i, 4 - j if across else j] == X[n, c, i, j]
    y.diff[...] = y.data
    layer.backward([y], [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, X)


def test_left_and_right_change_unless_told_otherwise():
    layer = build("Flip")
    _, (y,) = run(layer, X)
    np.testing.assert_array_equal(y.data[..., 0], X[..., 4])
    with pytest.raises(LayerConfigError, match=r"'f'.*\(2, 3\)(.|\n)*4-dimensional"):
        build("Flip", name="f").top_shapes((2, 3))
