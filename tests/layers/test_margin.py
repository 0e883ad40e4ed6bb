"""CosinAddm and AdaCosAddmScale against angles, item by item, and their derivatives."""

import math

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LabelError, LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

RNG = np.random.default_rng(12)
COSINES = RNG.uniform(-0.95, 0.95, (6, 4))
LABELS = np.array([0.0, 3, 1, -1, 2, 0])
COSINES[4, 2] = -0.97  # beyond the margin


def larger(c, m):
    """The cosine of an angle larger by m, or the straight line beyond pi."""
    angle = math.acos(min(c, 1))
    return math.cos(angle + m) if c > math.cos(math.pi - m) else c - m * math.sin(m)


def with_margin(cosines, labels, m):
    y = cosines.copy()
    for n, label in enumerate(labels.astype(int)):
        if label >= 0:
            y[n, label] = larger(cosines[n, label], m)
    return y


@pytest.mark.parametrize("m", [0, 0.25, 0.5, 1.5])
def test_the_angle_to_the_own_class_grows_by_m(m):
    _, (y,) = run(build("CosinAddm", m=m), COSINES, LABELS)
    np.testing.assert_allclose(y.data, with_margin(COSINES, LABELS, m), rtol=1e-12, atol=1e-15)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("CosinAddm", m=0.5), COSINES, LABELS)


def test_a_cosine_above_1_counts_as_1_with_a_slope_of_1():
    layer = build("CosinAddm", m=0.5)
    bottom, top = run(layer, np.array([[1.0000002, 0.1], [0.2, 1.0]]), np.array([0.0, 1]))
    np.testing.assert_allclose(np.diag(top[0].data), math.cos(0.5), rtol=1e-6)
    top[0].diff.fill(3)
    layer.backward(top, [True, False], bottom)
    np.testing.assert_array_equal(bottom[0].diff, 3)


@pytest.mark.parametrize("type", ["CosinAddm", "AdaCosAddmScale"])
def test_in_phase_test_the_margin_is_added_if_asked_for(type):
    plain = build(type, phase=schema.TEST)
    _, (y,) = run(plain, COSINES, LABELS)
    np.testing.assert_allclose(y.data / y.data[0, 1], COSINES / COSINES[0, 1], rtol=1e-12)
    asked = build(type, phase=schema.TEST, transform_test=True)
    _, (y,) = run(asked, COSINES, LABELS)
    expected = with_margin(COSINES, LABELS, 0.5)
    np.testing.assert_allclose(y.data / y.data[0, 1], expected / expected[0, 1], rtol=1e-12)


def next_scale(cosines, labels, before):
    total = 0.0
    for row, label in zip(cosines, labels.astype(int), strict=True):
        total += sum(1 if c == label else math.exp(before * v) for c, v in enumerate(row))
    angle = np.mean([math.acos(v) for v in cosines.ravel()])
    return math.log(total / len(cosines)) / math.cos(min(angle, math.pi / 4))


def test_the_scale_follows_from_the_batch_and_the_scale_before():
    layer = build("AdaCosAddmScale", num_classes=10)
    bottom, top = bind(layer, COSINES, LABELS)
    scale = math.sqrt(2) * math.log(9)
    for _ in range(3):
        layer.forward(bottom, top)
        scale = next_scale(COSINES, LABELS, scale)
        expected = scale * with_margin(COSINES, LABELS, 0.5)
        np.testing.assert_allclose(top[0].data, expected, rtol=1e-12)


def test_small_angles_are_not_taken_for_a_quarter_of_pi():
    near = np.full((2, 3), 0.9)
    _, (y,) = run(build("AdaCosAddmScale", num_classes=10), near, np.array([0.0, 1]))
    scale = next_scale(near, np.array([0.0, 1]), math.sqrt(2) * math.log(9))
    np.testing.assert_allclose(y.data[0, 2], 0.9 * scale, rtol=1e-12)


def test_backward_takes_the_scale_for_a_constant():
    layer = build("AdaCosAddmScale", m=0.375, num_classes=10)
    bottom, top = run(layer, COSINES, LABELS)
    top[0].diff[...] = cotangent = RNG.standard_normal(COSINES.shape)
    layer.backward(top, [True, False], bottom)
    scale = top[0].data[3, 0] / COSINES[3, 0]
    step = 1e-6
    for n, c in np.ndindex(COSINES.shape):
        high, low = COSINES.copy(), COSINES.copy()
        high[n, c] += step
        low[n, c] -= step
        change = with_margin(high, LABELS, 0.375) - with_margin(low, LABELS, 0.375)
        expected = scale * (cotangent * change).sum() / (2 * step)
        np.testing.assert_allclose(bottom[0].diff[n, c], expected, rtol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(LayerConfigError, match="m is 4"):
        build("CosinAddm", m=4)
    with pytest.raises(LayerConfigError, match="num_classes is 1"):
        build("AdaCosAddmScale", num_classes=1)
    with pytest.raises(LabelError, match="label 1 of 'x1' is 4"):
        run(build("CosinAddm"), COSINES, np.array([0.0, 4, 0, 0, 0, 0]))
    with pytest.raises(LayerConfigError, match="need 6 labels"):
        build("CosinAddm").top_shapes((6, 4), (5,))
