"""Normalize against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(2).standard_normal((2, 3, 4, 5))


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_forward_divides_by_the_length_and_scales(across, shared):
    layer = build("Normalize", across_spatial=across, channel_shared=shared, eps=0.5)
    scale = np.array(-1.5) if shared else np.array([2.0, -3.0, 0.5])
    _, (y,) = run(layer, X, params=[scale])
    for n, c, h, w in np.ndindex(X.shape):
        squares = (X[n] ** 2).sum() if across else (X[n, :, h, w] ** 2).sum()
        s = float(scale) if shared else scale[c]
        expected = s * X[n, c, h, w] / np.sqrt(squares + 0.5)
        np.testing.assert_allclose(y.data[n, c, h, w], expected, rtol=1e-12)


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_backward_is_the_derivative_of_forward(across, shared):
    layer = build("Normalize", across_spatial=across, channel_shared=shared, eps=0.5)
    check_backward(layer, X)


def test_the_scale_starts_from_its_filler_or_from_1():
    assert build("Normalize").fillers["scale"].value == 1
    filled = build("Normalize", scale_filler=dict(type="constant", value=20))
    assert filled.fillers["scale"].value == 20


def test_an_empty_pixel_stays_0_and_eps_must_be_a_number():
    _, (y,) = run(build("Normalize", across_spatial=False), np.zeros((1, 2, 2, 2)))
    assert (y.data == 0).all()
    with pytest.raises(LayerConfigError, match=r"'n'.*eps is -1"):
        build("Normalize", name="n", eps=-1)
    with pytest.raises(LayerConfigError, match=r"'n'.*\(3,\)"):
        build("Normalize", name="n").top_shapes((3,))


@pytest.mark.parametrize("length", ["L2", "L1"])
def test_with_a_normalize_param_pixels_are_divided_by_their_length_alone(length):
    layer = build("Normalize", tops=2, normalize_type=length, bp_norm=True)
    _, (y, r) = run(layer, X)
    assert not layer.params
    assert r.shape == (2, 1, 4, 5)
    for n, h, w in np.ndindex(2, 4, 5):
        pixel = X[n, :, h, w]
        total = sum(pixel**2) if length == "L2" else sum(abs(pixel))
        expected = (total + 1e-6) ** 0.5 if length == "L2" else total + 1e-6
        np.testing.assert_allclose(r.data[n, 0, h, w], expected, rtol=1e-12)
        np.testing.assert_allclose(y.data[n, :, h, w], pixel / expected, rtol=1e-12)
    check_backward(layer, X)
    check_backward(build("Normalize", normalize_type=length), X)


def test_without_bp_norm_the_lengths_gradient_is_not_read():
    gradients = []
    for diff in (0, 7):
        layer = build("Normalize", tops=2, normalize_type="L2")
        bottom, top = run(layer, X)
        top[0].diff[...] = X[::-1]
        top[1].diff.fill(diff)
        layer.backward(top, [True], bottom)
        gradients.append(bottom[0].diff.copy())
    np.testing.assert_array_equal(*gradients)


def test_the_two_forks_are_not_mixed():
    with pytest.raises(LayerConfigError, match="two forks'"):
        build("Normalize", eps=1, normalize_type="L2")
    with pytest.raises(LayerConfigError, match="normalize_type is 'L3'"):
        build("Normalize", normalize_type="L3")
    with pytest.raises(LayerConfigError, match="has 2 tops"):
        build("Normalize", tops=2)
