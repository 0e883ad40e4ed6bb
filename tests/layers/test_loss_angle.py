"""AngleLoss against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run


def unit(seed, shape=(2, 3, 4, 2)):
    x = np.random.default_rng(seed).standard_normal(shape)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_it_is_the_sum_of_angles_per_item_without_the_places_that_have_no_label():
    a, b = unit(1), unit(2)
    b[0, 0, 1, 1], b[1, 0, 3, 0] = 11, -10.5
    total = 0.0
    for n, i, j in np.ndindex(2, 4, 2):
        if abs(b[n, 0, i, j]) <= 10:
            total += math.acos(sum(a[n, c, i, j] * b[n, c, i, j] for c in range(3)))
    _, (loss,) = run(build("AngleLoss"), a, b)
    np.testing.assert_allclose(loss.data, total / 2, rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    b = unit(2)
    b[0, 0, 1, 1] = 20
    check_backward(build("AngleLoss"), 0.9 * unit(1), b)


def test_the_same_direction_gives_no_angle_and_a_finite_gradient():
    layer, a = build("AngleLoss", dtype=np.float32), unit(3)
    bottom, top = bind(layer, a * (1 + 1e-6), a)
    layer.forward(bottom, top)
    assert top[0].data == 0
    top[0].diff.fill(1)
    layer.backward(top, [True, False], bottom)
    np.testing.assert_allclose(bottom[0].diff, -a * 1e6 / 2, rtol=1e-5)


@pytest.mark.parametrize("shapes", [((2, 3, 4), (1, 12)), ((2, 3, 4), (2, 11)), ((2,), (2,))])
def test_bottoms_that_do_not_match_are_refused(shapes):
    with pytest.raises(LayerConfigError, match="AngleLoss layer 'angle'"):
        build("AngleLoss", name="angle").top_shapes(*shapes)
