"""CropCenter: what stays, where its gradient goes, what is refused."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

X = np.arange(2.0 * 3 * 6 * 5).reshape(2, 3, 6, 5)


def test_the_same_is_cut_off_both_ends():
    layer = build("CropCenter", crop_size=[0, 1, 2, 1])
    bottom, (y,) = run(layer, X)
    assert y.shape == (2, 1, 2, 3)
    for n, c, h, w in np.ndindex(y.shape):
        assert y.data[n, c, h, w] == X[n, c + 1, h + 2, w + 1]
    y.diff.fill(1)
    bottom[0].diff.fill(np.nan)
    layer.backward([y], [True], bottom)
    inside = np.isin(X, y.data)
    np.testing.assert_array_equal(bottom[0].diff, inside)


@pytest.mark.parametrize(
    "cut, found",
    [
        ([1, 1], r"has 2 crop_size values for the 4 axes of \(2, 3, 6, 5\)"),
        ([0, 0, 3, 1], r"crop_size \(0, 0, 3, 1\) leaves \(2, 3, 0, 3\)"),
    ],
)
def test_what_leaves_nothing_or_names_other_axes_is_refused(cut, found):
    with pytest.raises(LayerConfigError, match=rf"CropCenter layer 'c': {found}"):
        build("CropCenter", name="c", crop_size=cut).top_shapes(X.shape)
