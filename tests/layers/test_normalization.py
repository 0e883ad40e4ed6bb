"""BatchNorm against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run


def random(*shape, seed=7, mean=0.0, std=1.0):
    return np.random.default_rng(seed).normal(mean, std, shape)


def backward(layer, bottom, top, dy):
    """Put dy into the top's gradient and run backward for all bottoms."""
    top[0].diff[...] = dy
    layer.backward(top, [True] * len(bottom), bottom)
    return [blob.diff for blob in bottom]


SHAPES = {
    "images": (3, 4, 2, 5),
    "vectors": (5, 3),
    "volumes": (2, 3, 2, 3, 2),
    "one item": (1, 3, 4, 2),
    "one channel": (4, 1, 3, 2),
}
TWO_SEEN = [np.array([2.0, -1.0, 3.0, 0.5]), np.array([4.0, 1.0, 0.5, 9.0]), np.array([2.0])]


def statistics(channels):
    return [TWO_SEEN[0][:channels], TWO_SEEN[1][:channels], TWO_SEEN[2]]


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def x(request):
    a = random(*request.param, std=2)
    channel = np.arange(a.shape[1]).reshape([1, -1] + [1] * (a.ndim - 2))
    return a * (1 + channel) + 3 * channel - 4


def test_batch_norm_brings_each_channel_to_its_mean_and_deviation(x):
    _, (y,) = run(build("BatchNorm", eps=0.25), x, params=statistics(x.shape[1]))
    for c in range(x.shape[1]):
        values = x[:, c]
        expected = (values - values.mean()) / np.sqrt(values.var() + 0.25)
        np.testing.assert_allclose(y.data[:, c], expected, rtol=1e-12, atol=1e-13)


def test_batch_norm_adds_this_batch_to_its_statistics(x):
    layer = build("BatchNorm", moving_average_fraction=0.9)
    mean, variance, factor = statistics(x.shape[1])
    run(layer, x, params=[mean, variance, factor])
    assert layer.scale_factor.data == pytest.approx([0.9 * 2 + 1])
    for c in range(x.shape[1]):
        unbiased = x[:, c].var(ddof=1)
        assert layer.mean.data[c] == pytest.approx(0.9 * mean[c] + x[:, c].mean())
        assert layer.variance.data[c] == pytest.approx(0.9 * variance[c] + unbiased)


def test_batch_norm_of_one_value_a_channel_has_a_variance_of_zero():
    layer = build("BatchNorm", moving_average_fraction=0.5)
    _, (y,) = run(layer, np.array([[3.0, -2.0]]), params=[[1, 1], [1, 1], [1]])
    assert (y.data == 0).all()
    np.testing.assert_array_equal(layer.variance.data, [0.5, 0.5])


def test_batch_norm_backward_is_the_derivative_of_forward(x):
    if x[:, 0].size > 1:
        check_backward(build("BatchNorm", eps=0.25), x, params=statistics(x.shape[1]))


def test_batch_norm_with_global_stats_uses_what_was_seen_and_changes_nothing(x):
    layer = build("BatchNorm", use_global_stats=True, eps=0.25)
    mean, variance, factor = statistics(x.shape[1])
    _, (y,) = run(layer, x, params=[mean, variance, factor])
    for c in range(x.shape[1]):
        expected = (x[:, c] - mean[c] / 2) / np.sqrt(variance[c] / 2 + 0.25)
        np.testing.assert_allclose(y.data[:, c], expected, rtol=1e-12)
    for param, before in zip(layer.params, [mean, variance, factor], strict=True):
        np.testing.assert_array_equal(param.data, before)


def test_batch_norm_with_global_stats_has_their_derivative(x):
    layer = build("BatchNorm", phase=schema.TEST, eps=0.25)
    check_backward(layer, x, params=statistics(x.shape[1]))


def test_batch_norm_that_saw_nothing_divides_by_the_root_of_eps():
    layer = build("BatchNorm", phase=schema.TEST, eps=0.25)
    _, (y,) = run(layer, random(2, 3), params=[[5, 5, 5], [7, 7, 7], [0]])
    np.testing.assert_allclose(y.data, random(2, 3) / 0.5)


@pytest.mark.parametrize(
    "phase, asked, expected",
    [
        (schema.TRAIN, {}, False),
        (schema.TEST, {}, True),
        (schema.TRAIN, {"use_global_stats": True}, True),
        (schema.TEST, {"use_global_stats": False}, False),
    ],
)
def test_batch_norm_uses_global_stats_in_test_unless_told(phase, asked, expected):
    assert build("BatchNorm", phase=phase, **asked).use_global_stats is expected


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST])
def test_batch_norm_in_place_survives_a_later_layer_that_overwrites_its_top(phase):
    x, dy = random(3, 2, 4), random(3, 2, 4, seed=8)
    apart, inside = (build("BatchNorm", phase=phase, in_place=p) for p in (False, True))
    bottom, top = run(apart, x)
    (expected_dx,) = backward(apart, bottom, top, dy)
    bottom_in, top_in = run(inside, x)
    assert top_in[0] is bottom_in[0]
    np.testing.assert_array_equal(top_in[0].data, top[0].data)
    top_in[0].data[...] = 99
    np.testing.assert_array_equal(backward(inside, bottom_in, top_in, dy)[0], expected_dx)


def test_batch_norm_keeps_its_digits_in_float32_far_from_zero():
    # mean(x**2) - mean(x)**2 would have nothing left: at 3e3, float32 squares step by 0.5.
    x = random(8, 2, 9, mean=3000).astype(np.float32)
    layer = build("BatchNorm", dtype=np.float32)
    bottom, top = run(layer, x)
    exact = x.astype(np.float64)
    exact -= exact.mean(axis=(0, 2), keepdims=True)
    exact /= np.sqrt((exact**2).mean(axis=(0, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(top[0].data, exact, atol=2e-3)
    np.testing.assert_allclose(top[0].data.std(axis=(0, 2)), 1, rtol=1e-4)


BAD_BATCH_NORM = {
    "lr_mult": (dict(param=[{"lr_mult": 0}, {"lr_mult": 2}]), r"param 1 has lr_mult 2"),
    "fraction": (dict(moving_average_fraction=1.5), r"moving_average_fraction is 1.5"),
    "eps": (dict(eps=-1), r"eps is -1"),
}


@pytest.mark.parametrize("options, message", BAD_BATCH_NORM.values(), ids=BAD_BATCH_NORM.keys())
def test_batch_norm_refuses_impossible_parameters(options, message):
    with pytest.raises(LayerConfigError, match=f"BatchNorm layer 'bn1'.*{message}(.|\n)*expected"):
        build("BatchNorm", name="bn1", **options)


def test_batch_norm_takes_param_entries_that_leave_the_statistics_alone():
    build("BatchNorm", param=[{"lr_mult": 0, "decay_mult": 0}, {"name": "shared"}])


@pytest.mark.parametrize("shape", [(3,), (), (0, 3), (2, 0, 4)])
def test_batch_norm_refuses_a_bottom_without_channels(shape):
    with pytest.raises(LayerConfigError, match=r"BatchNorm layer 'bn1'(.|\n)*\(N, C") as caught:
        build("BatchNorm", name="bn1").top_shapes(shape)
    assert str(shape) in str(caught.value)
