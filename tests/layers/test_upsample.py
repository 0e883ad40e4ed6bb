"""Upsample: values in their places, gradients from there; with Pooling; what is refused."""

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(6).standard_normal((2, 3, 6, 4))


def test_a_pooling_is_undone():
    _, (pooled, mask) = run(build("Pooling", tops=2, kernel_size=2, stride=2), X)
    bottom, (y,) = run(build("Upsample"), pooled.data, mask.data)
    assert y.shape == X.shape
    for n, c, h, w in np.ndindex(X.shape):
        window = X[n, c, h // 2 * 2 : h // 2 * 2 + 2, w // 2 * 2 : w // 2 * 2 + 2]
        assert y.data[n, c, h, w] == (X[n, c, h, w] if X[n, c, h, w] == window.max() else 0)


def test_backward_is_the_derivative_of_forward():
    layer = build("Upsample", scale=2, pad_out_w=True)
    check_backward(layer, *layer.sample_bottoms([(2, 3, 2, 3)] * 2, np.random.default_rng(0)))


def test_of_two_values_for_one_place_the_later_one_stays():
    bottom, top = run(
        build("Upsample", upsample_h=2, upsample_w=2),
        *([[[[3.0, 4.0, 5.0]]]], [[[[1.0, 1.0, 2.0]]]]),
    )
    assert top[0].data.tolist() == [[[[0, 4], [5, 0]]]]
    top[0].diff[...] = [[[[1, 2], [3, 4]]]]
    top_diffs = build("Upsample", upsample_h=2, upsample_w=2)
    assert top_diffs.top_shapes((1, 1, 1, 3), (1, 1, 1, 3)) == ((1, 1, 2, 2),)


@pytest.mark.parametrize(
    "keywords, size",
    [
        (dict(), (4, 6)),
        (dict(scale=3), (6, 9)),
        (dict(scale_h=3, scale_w=2), (6, 6)),
        (dict(scale=2, pad_out_h=True), (3, 6)),
        (dict(upsample_h=5, upsample_w=8, pad_out_h=True), (5, 8)),
    ],
)
def test_the_size_of_the_top(keywords, size):
    shape = (2, 3, 2, 3)
    assert build("Upsample", **keywords).top_shapes(shape, shape) == ((2, 3, *size),)


@pytest.mark.parametrize(
    "keywords, found",
    [
        (dict(upsample_h=5), "upsample_h is given without its pair"),
        (dict(scale=1), r"scale is \(1, 1\)"),
        (dict(scale=2, scale_h=2, scale_w=2), "both scale and scale_h"),
        (dict(scale=3, pad_out_w=True), "pad_out_w with a scale of 3"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(keywords, found):
    with pytest.raises(LayerConfigError, match=rf"Upsample layer 'u'.*{found}"):
        build("Upsample", name="u", **keywords)


def test_masks_of_another_shape_and_places_outside_are_refused():
    with pytest.raises(LayerConfigError, match=r"'x0' is \(2, 3, 2, 3\), and the mask 'x1'"):
        build("Upsample").top_shapes((2, 3, 2, 3), (2, 3, 3, 2))
    with pytest.raises(LabelError, match=r"is 24(.|\n)*from 0 to 23(.|\n)*Pooling"):
        run(build("Upsample"), np.ones((1, 1, 2, 3)), np.full((1, 1, 2, 3), 24.0))
