"""DepthwiseConvolution and ConvolutionDepthwise: channel by channel; what is refused."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(3).standard_normal((2, 3, 6, 5))


def filtered(x, weight, stride, pad):
    """One plane, correlated with one filter."""
    x = np.pad(x, pad)
    k = len(weight)
    rows, columns = ((n - k) // stride + 1 for n in x.shape)
    return np.array(
        [
            [
                (x[i * stride : i * stride + k, j * stride : j * stride + k] * weight).sum()
                for j in range(columns)
            ]
            for i in range(rows)
        ]
    )


@pytest.mark.parametrize(
    "type, filters, more",
    [
        ("DepthwiseConvolution", 1, dict(group=3)),
        ("DepthwiseConvolution", 2, dict(group=3)),
        ("DepthwiseConvolution", 1, dict()),
        ("ConvolutionDepthwise", 1, dict()),
    ],
)
def test_every_channel_has_filters_of_its_own(type, filters, more):
    layer = build(type, num_output=3 * filters, kernel_size=3, stride=2, pad=1, **more)
    rng = np.random.default_rng(8)
    weight, bias = rng.standard_normal((3 * filters, 1, 3, 3)), rng.standard_normal(3 * filters)
    _, (y,) = run(layer, X, params=[weight, bias])
    assert layer.param_shapes(X.shape)["weight"] == weight.shape
    for n, m in np.ndindex(2, 3 * filters):
        expected = filtered(X[n, m // filters], weight[m, 0], 2, 1) + bias[m]
        np.testing.assert_allclose(y.data[n, m], expected, rtol=1e-12, atol=1e-12)
    check_backward(layer, X)


def test_engines_are_asked_for_a_grouped_convolution():
    plain = build("Convolution", num_output=3, kernel_size=3, group=3).op
    assert build("ConvolutionDepthwise", num_output=3, kernel_size=3).op == plain


def test_groups_for_other_channels_are_refused():
    layer = build("ConvolutionDepthwise", name="d", num_output=4, kernel_size=3)
    with pytest.raises(LayerConfigError, match=r"'d'.*has 4 groups for the 3 channels"):
        layer.top_shapes(X.shape)
    layer = build("DepthwiseConvolution", name="d", num_output=6, group=2, kernel_size=3)
    with pytest.raises(LayerConfigError, match=r"'d'.*has 2 groups for the 3 channels"):
        layer.top_shapes(X.shape)
