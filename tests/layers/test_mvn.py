"""MVN against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

SHAPES = {"images": (3, 2, 4, 5), "signals": (2, 3, 7), "vectors": (4, 6)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
across = pytest.mark.parametrize("across", [False, True], ids=["channels", "whole images"])
divide = pytest.mark.parametrize("divide", [False, True], ids=["mean", "mean and deviation"])
EPS = 0.25  # so large that its place in the formula shows


def build_mvn(across, divide, **keywords):
    options = dict(across_channels=across, normalize_variance=divide, eps=EPS)
    return build("MVN", **options, **keywords)


def sample(shape):
    """Every channel has a mean and a deviation of its own."""
    x = np.random.default_rng(7).standard_normal(shape)
    channel = np.arange(shape[1]).reshape([1, -1] + [1] * (len(shape) - 2))
    return x * (1 + channel) + 3 * channel - 2


@shapes
@across
@divide
@pytest.mark.parametrize("in_place", [False, True])
def test_each_part_is_brought_to_its_mean_and_deviation(shape, across, divide, in_place):
    x = sample(shape)
    _, (y,) = run(build_mvn(across, divide, in_place=in_place), x)
    for part in np.ndindex(*shape[: 1 if across else 2]):
        expected = x[part] - x[part].mean()
        if divide:
            expected /= x[part].std() + EPS
        np.testing.assert_allclose(y.data[part], expected, rtol=1e-12, atol=1e-13)


@shapes
@across
@divide
def test_backward_is_the_derivative_of_forward(shape, across, divide):
    if across or len(shape) > 2:  # a vector's channels are single numbers, of deviation 0
        check_backward(build_mvn(across, divide), sample(shape))


@across
@divide
def test_in_place_gives_the_same_gradient(across, divide):
    x, dy = sample((3, 2, 4, 5)), np.random.default_rng(8).standard_normal((3, 2, 4, 5))
    gradients = []
    for in_place in (False, True):
        layer = build_mvn(across, divide, in_place=in_place)
        bottom, top = run(layer, x)
        top[0].diff[...] = dy
        layer.backward(top, [True], bottom)
        gradients.append(bottom[0].diff)
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("eps", [1e-9, 0])
def test_equal_numbers_become_zero_and_their_gradient_is_finite(eps, dtype):
    layer = build("MVN", eps=eps, dtype=dtype)
    bottom, top = run(layer, np.full((1, 2, 2, 2), 3.0))
    assert not top[0].data.any()
    top[0].diff.fill(1)
    layer.backward(top, [True], bottom)
    assert np.isfinite(bottom[0].diff).all()


def test_a_large_mean_does_not_cost_the_digits():
    """mean(x**2) - mean(x)**2 would leave none of them in float32."""
    x = 4096 + np.array([[[1.0, -1.0, 1.0, -1.0]]])
    _, (y,) = run(build("MVN", dtype=np.float32), x)
    np.testing.assert_allclose(y.data, [[[1, -1, 1, -1]]], rtol=1e-6)


def test_its_top_is_kept_for_backward_only_where_it_is_read():
    assert build("MVN").keeps == ("top",)
    assert build("MVN", normalize_variance=False).keeps == ()


def test_a_bottom_without_channels_and_a_bad_eps_are_refused():
    with pytest.raises(LayerConfigError, match=r"MVN layer 'm'.*\(4,\)"):
        build("MVN", name="m").top_shapes((4,))
    with pytest.raises(LayerConfigError, match=r"MVN layer 'm'.*eps is -1"):
        build("MVN", name="m", eps=-1)
