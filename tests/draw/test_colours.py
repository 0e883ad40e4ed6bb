"""viridis as published, and values as numbers of colours."""

import numpy as np
import pytest

from minidl.draw import colours


def test_the_colours_are_those_of_matplotlib():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    expected = matplotlib.colormaps["viridis"](np.arange(256))[:, :3] * 255
    found = colours.viridis()
    assert found.shape == (256, 3)
    assert np.abs(found - expected).max() <= 2.5  # they are interpolated
    assert found[0].tolist() == [68, 1, 84] and found[-1].tolist() == [253, 231, 37]


def test_fewer_colours_span_the_same():
    np.testing.assert_array_equal(colours.viridis(5)[[0, 4]], colours.viridis(256)[[0, 255]])


def test_levels_are_rounded_and_cut():
    values = [-1, 0, 0.24, 0.26, 1, 2, np.nan]
    assert colours.levels(values, 3).tolist() == [0, 0, 0, 1, 2, 2, 0]
