"""SPP against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

SHAPES = {"even": (2, 3, 8, 4), "odd": (2, 3, 9, 7), "wide": (1, 2, 7, 30), "single": (3, 1, 7, 7)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
pools = pytest.mark.parametrize("pool", ["MAX", "AVE"])
heights = pytest.mark.parametrize("height", [1, 2, 3])


def sample(shape):
    """Below 0, so that a padding that is seen would win."""
    return np.random.default_rng(7).standard_normal(shape) - 5


def bins(size, count):
    """For each bin along an axis, its places on the bottom, and how wide it is."""
    kernel = math.ceil(size / count)
    pad = math.ceil((kernel * count - size) / 2)
    starts = [i * kernel - pad for i in range(count)]
    return [range(max(0, s), min(s + kernel, size)) for s in starts], kernel


def by_definition(x, height, pool):
    """Level by level, channel by channel, bin by bin."""
    rows = []
    for image in x:
        row = []
        for level in range(height):
            h, kernel_h = bins(x.shape[2], 2**level)
            w, kernel_w = bins(x.shape[3], 2**level)
            for channel in image:
                for down in h:
                    for right in w:
                        window = channel[np.ix_(down, right)]
                        area = kernel_h * kernel_w
                        row.append(window.max() if pool == "MAX" else window.sum() / area)
        rows.append(row)
    return np.array(rows)


@shapes
@pools
@heights
def test_forward_follows_the_definition(shape, pool, height):
    x = sample(shape)
    _, (y,) = run(build("SPP", pyramid_height=height, pool=pool), x)
    expected = by_definition(x, height, pool)
    if height == 1:
        expected = expected.reshape(*shape[:2], 1, 1)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.data, expected, rtol=1e-13)


@shapes
@pools
@heights
def test_backward_is_the_derivative_of_forward(shape, pool, height):
    check_backward(build("SPP", pyramid_height=height, pool=pool), sample(shape), limit=40)


@pytest.mark.parametrize(
    "bottom, height, values",
    [((2, 3, 9, 8), 3, 63), ((4, 3, 1024, 765), 5, 1023), ((10, 3, 7, 7), 3, 63)],
)
def test_the_shapes_that_caffe_tests(bottom, height, values):
    layer = build("SPP", pyramid_height=height)
    assert layer.top_shapes(bottom) == ((bottom[0], values),)


def test_stochastic_pooling_draws_anew_for_every_level_and_averages_in_test():
    x = np.random.default_rng(3).random((2, 3, 8, 6))
    params = dict(pyramid_height=2, pool="STOCHASTIC")
    (bottom,), (y,) = run(build("SPP", **params), x)
    for n, row in enumerate(y.data):
        assert set(row) <= set(x[n].reshape(-1)), "what is drawn is from the image"
    layer = build("SPP", phase=schema.TEST, **params)
    _, (y,) = run(layer, x)
    whole = (x**2).sum(axis=(2, 3)) / x.sum(axis=(2, 3))
    np.testing.assert_allclose(y.data[:, :3], whole, rtol=1e-13)
    assert layer.keeps == ("bottom",)
    check_backward(layer, x, limit=20)


def test_the_same_layer_takes_another_size():
    layer = build("SPP", pyramid_height=2)
    for shape in ((2, 3, 8, 5), (1, 3, 5, 9), (2, 3, 8, 5)):
        x = sample(shape)
        _, (y,) = run(layer, x)
        np.testing.assert_array_equal(y.data, by_definition(x, 2, "MAX"))


def test_bins_that_would_see_nothing_are_refused():
    layer = build("SPP", name="s", pyramid_height=3)
    with pytest.raises(LayerConfigError, match=r"SPP layer 's'.*level 2 .*4 x 4.*of 5 x 9") as e:
        layer.top_shapes((2, 3, 5, 9))
    assert "pyramid_height to 2" in e.value.fix
    assert layer.top_shapes((2, 3, 7, 9)) == ((2, 63),)


def test_stochastic_bins_have_to_divide_the_map():
    layer = build("SPP", name="s", pyramid_height=2, pool="STOCHASTIC")
    with pytest.raises(LayerConfigError, match=r"SPP layer 's'.*7 x 6.*padded for 2 x 2 bins"):
        layer.top_shapes((2, 3, 7, 6))


def test_no_level_and_other_than_four_axes_are_refused():
    with pytest.raises(LayerConfigError, match=r"SPP layer 's'.*pyramid_height is 0 or missing"):
        build("SPP", name="s")
    with pytest.raises(LayerConfigError, match=r"SPP layer 's'.*\(2, 3, 4\)"):
        build("SPP", name="s", pyramid_height=1).top_shapes((2, 3, 4))


# ------------------------------------------------------------------- SpatialPyramidPooling, 2014

BINS = {"even": ([1, 2, 4], 8, 4), "overhanging": ([2, 3, 6], 13, 13), "uneven": ([3, 1], 7, 5)}
every_bins = pytest.mark.parametrize("bins, height, width", BINS.values(), ids=BINS.keys())


def of_2014(x, bins, pool):
    """Windows of size // b, side by side, to the end of the bottom."""
    rows = []
    for image in x:
        row = []
        for b in bins:
            kh, kw = x.shape[2] // b, x.shape[3] // b
            for channel in image:
                for i in range(0, x.shape[2], kh):
                    for j in range(0, x.shape[3], kw):
                        window = channel[i : i + kh, j : j + kw]
                        row.append(window.max() if pool == "MAX" else window.mean())
        rows.append(row)
    return np.array(rows)


@every_bins
@pools
def test_windows_of_2014_lie_side_by_side_to_the_end(bins, height, width, pool):
    x = sample((2, 3, height, width))
    layer = build("SpatialPyramidPooling", spatial_bin=bins, pool=pool)
    _, (y,) = run(layer, x)
    expected = of_2014(x, bins, pool)
    assert layer.top_shapes(x.shape) == (expected.shape,)
    np.testing.assert_allclose(y.data, expected, rtol=1e-13)


@every_bins
def test_backward_of_2014_is_the_derivative_of_forward(bins, height, width):
    layer = build("SpatialPyramidPooling", spatial_bin=bins, pool="AVE")
    check_backward(layer, sample((2, 3, height, width)), limit=40)


def test_a_single_level_of_2014_is_one_window():
    x = sample((2, 3, 6, 5))
    _, (y,) = run(build("SpatialPyramidPooling", spatial_bin=[3]), x)
    np.testing.assert_array_equal(y.data, x.max(axis=(2, 3), keepdims=True))


@pytest.mark.parametrize(
    "bins, found", [([], "missing"), ([2, 0], "2, 0"), ([1, 6], "6, and the bottom 7 x 5")]
)
def test_bins_are_checked(bins, found):
    with pytest.raises(LayerConfigError, match=f"layer 'spp'.*spatial_bin is {found}"):
        layer = build("SpatialPyramidPooling", name="spp", spatial_bin=bins)
        layer.top_shapes((1, 1, 7, 5))
