"""SpatialDropout: whole channels go, and what the fields of ENet's layer change."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(3).standard_normal((30, 40, 2, 3)) + 4


@pytest.mark.parametrize("ratio", [0.125, 0.5])
def test_each_channel_of_each_item_goes_or_is_scaled_up(ratio):
    layer = build("SpatialDropout", dropout_ratio=ratio)
    (x,), (y,) = run(layer, X)
    kept = y.data[:, :, 0, 0] != 0
    np.testing.assert_allclose(y.data, X * kept[:, :, None, None] / (1 - ratio), rtol=1e-12)
    assert abs((1 - kept.mean()) - ratio) < 0.05  # 1200 draws: the deviation is at most 0.015
    assert 0 < kept.sum(axis=0).min() < 30  # a channel goes in some items, not in all
    y.diff[...] = dy = np.random.default_rng(4).standard_normal(X.shape)
    layer.backward([y], [True], [x])
    np.testing.assert_allclose(x.diff, dy * kept[:, :, None, None] / (1 - ratio), rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("SpatialDropout", dropout_ratio=0.4), X[:4, :5])


@pytest.mark.parametrize(
    "fields, factor",
    [
        (dict(phase=schema.TEST), 1),
        (dict(phase=schema.TEST, scale_test=True), 4 / 3),
        (dict(spatial_dropout_param=dict(phase="TEST", scale_test=True)), 4 / 3),
    ],
    ids=["testing", "scaled", "a phase of its own"],
)
def test_testing_drops_nothing(fields, factor):
    param = {"dropout_ratio": 0.25, **fields.pop("spatial_dropout_param", {})}
    if "scale_test" in fields:
        param["scale_test"] = fields.pop("scale_test")
    layer = build("SpatialDropout", spatial_dropout_param=param, **fields)
    _, (y,) = run(layer, X)
    np.testing.assert_allclose(y.data, X * factor, rtol=1e-12)
    assert layer.buffers(X.shape) == {}
    check_backward(layer, X[:2, :2])


@pytest.mark.parametrize("ratio", [0, 1, -0.5])
def test_a_ratio_that_is_no_share_is_refused(ratio):
    with pytest.raises(LayerConfigError, match=f"dropout_ratio is {ratio}"):
        build("SpatialDropout", dropout_ratio=ratio)


def test_a_bottom_without_channels_is_refused():
    with pytest.raises(LayerConfigError, match=r"shape \(3,\)"):
        build("SpatialDropout").top_shapes((3,))
