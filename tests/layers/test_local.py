"""Local against its definition in loops, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 3, 6, 5))
CASES = {
    "plain": (dict(num_output=2, kernel_size=2), (5, 4)),
    "padded": (dict(num_output=3, kernel_size=3, pad=1), (6, 5)),
    "stride": (dict(num_output=2, kernel_size=3, stride=2, pad=2), (4, 4)),
    "pixels": (dict(num_output=4, kernel_size=1), (6, 5)),
    "whole": (dict(num_output=2, kernel_size=5), (2, 1)),
}


def by_definition(x, w, b, out, kernel_size, stride=1, pad=0, **_):
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    y = np.zeros((len(x), len(w), *out))
    for n, m, i, j in np.ndindex(y.shape):
        place = i * out[1] + j
        for k, (c, r, s) in enumerate(np.ndindex(x.shape[1], kernel_size, kernel_size)):
            y[n, m, i, j] += w[m, 0, k, place] * padded[n, c, i * stride + r, j * stride + s]
        y[n, m, i, j] += b[0, 0, m, place]
    return y


@pytest.mark.parametrize("keywords, out", CASES.values(), ids=CASES.keys())
def test_forward_has_filters_of_their_own_for_every_place(keywords, out):
    layer = build("Local", **keywords)
    params = [RNG.standard_normal(shape) for shape in layer.param_shapes(X.shape).values()]
    _, (y,) = run(layer, X, params=params)
    np.testing.assert_allclose(y.data, by_definition(X, *params, out, **keywords), atol=1e-12)


@pytest.mark.parametrize("keywords, out", CASES.values(), ids=CASES.keys())
def test_backward_is_the_derivative_of_forward(keywords, out):
    check_backward(build("Local", **keywords), X, limit=30)


def test_with_the_same_filter_at_every_place_it_is_a_convolution():
    conv, local = (build(t, num_output=4, kernel_size=3, pad=1) for t in ("Convolution", "Local"))
    w, b = RNG.standard_normal((4, 3, 3, 3)), RNG.standard_normal(4)
    _, (expected,) = run(conv, X, params=[w, b])
    spread = np.repeat(w.reshape(4, 1, 27, 1), 30, axis=3), np.repeat(b.reshape(1, 1, 4, 1), 30, 3)
    _, (y,) = run(local, X, params=spread)
    np.testing.assert_allclose(y.data, expected.data, atol=1e-12)


def test_weights_have_the_shapes_of_the_pull_request():
    shapes = build("Local", num_output=4, kernel_size=3).param_shapes((7, 2, 5, 6))
    assert shapes == {"weight": (4, 1, 18, 12), "bias": (1, 1, 4, 12)}
    layer = build("Local", num_output=4, kernel_size=3, bias_term=False)
    assert list(layer.param_shapes((7, 2, 5, 6))) == ["weight"]


@pytest.mark.parametrize(
    "keywords, shape, message",
    [
        (dict(kernel_size=3), (1, 1, 4, 4), "num_output is 0"),
        (dict(num_output=3), (1, 1, 4, 4), "kernel_size is 0"),
        (dict(num_output=3, kernel_size=2, stride=0), (1, 1, 4, 4), "stride is 0"),
        (dict(num_output=3, kernel_size=5), (1, 1, 6, 4), "kernel_size is 5, pad 0"),
        (dict(num_output=3, kernel_size=2), (4, 4), "the bottom has the shape .4, 4."),
    ],
)
def test_refusals_name_the_layer_and_the_number(keywords, shape, message):
    with pytest.raises(LayerConfigError, match=f"Local layer 'local1'.*{message}"):
        build("Local", name="local1", **keywords).top_shapes(shape)
