"""PReLU against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.arrays.rng import Streams
from minidl.errors import LayerConfigError
from minidl.layers import fillers
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

SHAPES = {
    "images": (2, 3, 4, 5),
    "vectors": (4, 3),
    "one item": (1, 3, 2),
    "one channel": (4, 1, 3),
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
shared = pytest.mark.parametrize("shared", [False, True], ids=["by channel", "shared"])
in_place = pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in place"])
SLOPES = np.array([0.25, -0.5, 3.0])


def case(shape, shared, in_place=False):
    """A layer, its bottom with some zeros, and its slopes."""
    layer = build("PReLU", channel_shared=shared, in_place=in_place)
    x = np.random.default_rng(7).standard_normal(shape)
    x[0, 0] = 0
    return layer, x, np.array(-0.5) if shared else SLOPES[: shape[1]]


def by_definition(x, dy, slopes):
    y, dx, da = np.empty_like(x), np.empty_like(x), np.zeros_like(slopes)
    for index in np.ndindex(*x.shape):
        channel = index[1] if slopes.ndim else ()
        if x[index] > 0:
            y[index], dx[index] = x[index], dy[index]
        else:
            y[index], dx[index] = slopes[channel] * x[index], slopes[channel] * dy[index]
            da[channel] += x[index] * dy[index]
    return y, dx, da


@shapes
@shared
@in_place
def test_forward_and_backward_follow_the_definition(shape, shared, in_place):
    layer, x, slopes = case(shape, shared, in_place)
    dy = np.random.default_rng(8).standard_normal(shape)
    y, dx, da = by_definition(x, dy, slopes)
    bottom, top = run(layer, x, params=[slopes])
    assert (top[0] is bottom[0]) == in_place
    np.testing.assert_allclose(top[0].data, y, rtol=1e-14)
    top[0].diff[...] = dy
    layer.slope.diff.fill(1)  # backward adds to it
    layer.backward(top, [True], bottom)
    np.testing.assert_allclose(bottom[0].diff, dx, rtol=1e-14)
    np.testing.assert_allclose(layer.slope.diff, da + 1, rtol=1e-12)


@shapes
@shared
def test_backward_is_the_derivative_of_forward(shape, shared):
    layer, x, slopes = case(shape, shared)
    x[0, 0] = 0.5  # away from the corner, where one slope is the other's neighbour
    check_backward(layer, x, params=[slopes])


def test_slopes_begin_at_a_quarter_unless_a_filler_is_given():
    for params, value in ((dict(), 0.25), (dict(filler=dict(type="constant", value=2)), 2)):
        layer = build("PReLU", **params)
        slopes = np.empty(3, np.float32)
        fillers.fill(slopes, layer.fillers["slope"], Streams(1).generator("slope"))
        assert slopes.tolist() == [value] * 3


def test_in_place_a_copy_is_kept_and_else_the_bottom():
    assert build("PReLU").keeps == ("bottom",)
    layer = build("PReLU", in_place=True)
    assert layer.keeps == () and layer.buffers((2, 3))["x_copy"].kept


def test_a_bottom_without_channels_is_refused():
    with pytest.raises(LayerConfigError, match=r"PReLU layer 'p'.*\(4,\)(.|\n)*\(N, C, \.\.\.\)"):
        build("PReLU", name="p").top_shapes((4,))
