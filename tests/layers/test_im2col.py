"""Im2col against its definition, its derivative, Convolution, and its refusals."""

import itertools

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

CASES = {
    # shape, params, axis of the channels, kernel, stride, pad, dilation for each spatial axis
    "one tap": ((2, 3, 4, 5), dict(kernel_size=1), 1, (1, 1), (1, 1), (0, 0), (1, 1)),
    "padded": (
        (2, 3, 6, 7),
        dict(kernel_size=3, pad=1, stride=2),
        1,
        (3, 3),
        (2, 2),
        (1, 1),
        (1, 1),
    ),
    "each axis its own": (
        (2, 2, 7, 5),
        dict(kernel_h=3, kernel_w=2, stride_h=1, stride_w=2, pad_h=0, pad_w=1, dilation=[2, 1]),
        1,
        (3, 2),
        (1, 2),
        (0, 1),
        (2, 1),
    ),
    "signals": ((3, 2, 9), dict(kernel_size=4, stride=3), 1, (4,), (3,), (0,), (1,)),
    "volumes": ((1, 2, 3, 4, 3), dict(kernel_size=2), 1, (2,) * 3, (1,) * 3, (0,) * 3, (1,) * 3),
    "a batch of batches": ((2, 2, 3, 4), dict(kernel_size=2, axis=2), 2, (2,), (1,), (0,), (1,)),
}
cases = pytest.mark.parametrize(
    "shape, params, axis, kernel, stride, pad, dilation", CASES.values(), ids=CASES.keys()
)


def sample(shape):
    return np.random.default_rng(7).standard_normal(shape)


def by_definition(x, axis, kernel, stride, pad, dilation):
    """One image at a time, one element at a time."""
    size = x.shape[axis + 1 :]
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, pad, dilation, strict=True)
    ]
    images = []
    for image in x.reshape(-1, *x.shape[axis:]):
        rows = []
        for channel, tap in itertools.product(image, np.ndindex(*kernel)):
            row = np.zeros(out)
            for o in np.ndindex(*out):
                place = [
                    i * s - p + t * d
                    for i, s, p, t, d in zip(o, stride, pad, tap, dilation, strict=True)
                ]
                if all(0 <= i < n for i, n in zip(place, size, strict=True)):
                    row[o] = channel[tuple(place)]
            rows.append(row)
        images.append(rows)
    return np.array(images).reshape(*x.shape[:axis], -1, *out)


@cases
def test_forward_follows_the_definition(shape, params, axis, kernel, stride, pad, dilation):
    x = sample(shape)
    _, (y,) = run(build("Im2col", **params), x)
    np.testing.assert_array_equal(y.data, by_definition(x, axis, kernel, stride, pad, dilation))


@cases
def test_backward_is_the_derivative_of_forward(shape, params, axis, kernel, stride, pad, dilation):
    check_backward(build("Im2col", **params), sample(shape), limit=40)


def test_weights_times_columns_are_a_convolution():
    x = sample((2, 3, 6, 5))
    geometry = dict(kernel_size=3, stride=2, pad=1)
    layer = build("Convolution", num_output=4, bias_term=False, **geometry)
    _, (expected,) = run(layer, x)
    _, (columns,) = run(build("Im2col", **geometry), x)
    weight = layer.weight.data.reshape(4, -1)
    y = np.einsum("mk,nkhw->nmhw", weight, columns.data)
    np.testing.assert_allclose(y, expected.data, rtol=1e-12, atol=1e-13)


def test_what_concerns_filters_is_accepted_and_changes_nothing():
    plain, filled = build("Im2col", kernel_size=2), build("Im2col", kernel_size=2, num_output=7)
    assert plain.top_shapes((1, 2, 3, 4)) == filled.top_shapes((1, 2, 3, 4)) == ((1, 8, 2, 3),)
    assert filled.param_shapes((1, 2, 3, 4)) == {} and filled.op is None


REFUSED = {
    "no kernel": ({}, (1, 2, 3, 4), "kernel_size is missing"),
    "too large": (dict(kernel_size=5), (1, 2, 3, 4), r"kernel 5 x 5.*leaves -1 x 0"),
    "too many": (dict(kernel_size=[1, 1, 1]), (1, 2, 3, 4), r"kernel 1 x 1 x 1 is for 3 axes"),
    "empty": (dict(kernel_size=1), (0, 2, 3, 4), "bottom is empty"),
}


@pytest.mark.parametrize("params, shape, found", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused(params, shape, found):
    with pytest.raises(LayerConfigError, match=rf"Im2col layer 'i'.*{found}"):
        build("Im2col", name="i", **params).top_shapes(shape)
