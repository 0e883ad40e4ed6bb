"""Planes in a grid: every pixel where it belongs, and a scale that keeps the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minidl.draw import tiles
from minidl.errors import UsageError

RNG = np.random.default_rng(4)
sizes = st.integers(1, 5)


@given(
    sizes, sizes, sizes, st.one_of(st.none(), st.integers(1, 9)), st.integers(0, 3), st.booleans()
)
def test_every_plane_is_in_its_place_and_the_rest_is_gap(count, h, w, columns, gap, coloured):
    shape = (count, h, w, 3) if coloured else (count, h, w)
    planes = np.random.default_rng(count).random(shape).astype(np.float32)
    out = tiles.grid(planes, columns, gap, between=7.0)
    across = (out.shape[1] + gap) // (w + gap)
    assert columns is None or across == min(columns, count)
    seen = np.zeros(out.shape[:2], bool)
    for i in range(count):
        top, left = i // across * (h + gap), i % across * (w + gap)
        np.testing.assert_array_equal(out[top : top + h, left : left + w], planes[i])
        assert not seen[top : top + h, left : left + w].any()
        seen[top : top + h, left : left + w] = True
    assert (out[~seen] == 7.0).all()
    assert seen.sum() == count * h * w


def test_a_grid_is_about_as_wide_as_high():
    assert tiles.grid(np.zeros((96, 11, 11))).shape == (119, 119)
    tall = tiles.grid(np.zeros((40, 30, 3)))
    assert 0.5 < tall.shape[0] / tall.shape[1] < 2


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64]),
        arrays.array_shapes(max_dims=2, max_side=6),
        elements=st.floats(-(2.0**127), 2.0**127, width=32) | st.just(np.nan) | st.just(np.inf),
    )
)
def test_the_scale_goes_from_0_to_1_and_keeps_the_order(values):
    out = tiles.scaled(values)
    assert out.dtype == np.float32 and ((out >= 0) & (out <= 1)).all()
    assert (out[np.isnan(values)] == 0).all() and (out[values == np.inf] == 1).all()
    finite = np.isfinite(values)
    order = np.argsort(values[finite])
    assert (np.diff(out[finite][order]) >= 0).all()
    some = values[finite].astype(np.float64)
    if some.size and some.min() < some.max():
        span = some.max() / 2 - some.min() / 2
        expected = (some / 2 - some.min() / 2) / span
        np.testing.assert_allclose(out[finite], expected, atol=1e-6)
    elif some.size:
        assert (out[finite] == 0.5).all()


def test_filters_for_colours_come_as_red_green_blue():
    weight = RNG.standard_normal((5, 3, 4, 2))
    low, high = weight.min(), weight.max()
    for channels, order in (("BGR", [2, 1, 0]), ("RGB", [0, 1, 2])):
        planes = tiles.filters(weight, channels)
        assert planes.shape == (5, 4, 2, 3)
        for i, place in enumerate(order):
            expected = (weight[:, place] - low) / (high - low)
            np.testing.assert_allclose(planes[..., i], expected, atol=1e-6)


def test_other_filters_come_plane_by_plane_a_row_for_each_filter():
    weight = RNG.standard_normal((2, 4, 3, 3))
    planes = tiles.filters(weight)
    assert planes.shape == (8, 3, 3)
    picture = tiles.grid(planes, columns=4, gap=0)
    expected = (weight[1, 2] - weight.min()) / (weight.max() - weight.min())
    np.testing.assert_allclose(picture[3:6, 6:9], expected, atol=1e-6)


def test_maps_share_one_scale():
    maps = tiles.maps(np.stack([np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), 4.0)]))
    assert maps[:, 0, 0].tolist() == [0, 0.25, 1]


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: tiles.filters(np.zeros((3, 4))), r"weights have the shape \(3, 4\)"),
        (lambda: tiles.maps(np.zeros((1, 2, 3, 4))), r"activations have the shape"),
        (lambda: tiles.maps(np.zeros((0, 3, 4))), r"activations have the shape"),
        (lambda: tiles.grid(np.zeros((3, 4))), r"planes have the shape \(3, 4\)"),
        (lambda: tiles.grid(np.zeros((3, 4, 4)), columns=0), "columns is 0"),
        (lambda: tiles.grid(np.zeros((3, 4, 4)), gap=-1), "gap -1"),
    ],
)
def test_other_shapes_are_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()
