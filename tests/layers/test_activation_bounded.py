"""ReLU6 and HardSwish against their pieces, and their derivatives."""

import numpy as np
import pytest

from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.array([[-9.0, -3.1, -2.9, -1.5, -0.5, 0.5, 2.9, 3.1, 5.9, 6.1, 20.0]])


def relu6(x):
    return 0 if x < 0 else 6 if x > 6 else x


def hard_swish(x):
    return 0 if x < -3 else x if x > 3 else x * (x + 3) / 6


@pytest.mark.parametrize("type, one", [("ReLU6", relu6), ("HardSwish", hard_swish)])
def test_forward_follows_the_pieces_and_backward_their_slopes(type, one):
    _, (y,) = run(build(type), X)
    np.testing.assert_allclose(y.data[0], [one(x) for x in X[0]], rtol=1e-14)
    check_backward(build(type), X)


@pytest.mark.parametrize("type, corners", [("ReLU6", [0.0, 6.0]), ("HardSwish", [-3.0, 3.0])])
def test_at_a_corner_the_slope_is_that_of_one_side(type, corners):
    layer = build(type)
    bottom, top = run(layer, np.array(corners))
    top[0].diff.fill(1)
    layer.backward(top, [True], bottom)
    assert bottom[0].diff.tolist() == ([0, 0] if type == "ReLU6" else [0, 1])


def test_relu6_works_in_place():
    layer = build("ReLU6", in_place=True)
    (x,), _ = run(layer, X)
    x.diff.fill(2)
    layer.backward([x], [True], [x])
    np.testing.assert_array_equal(x.diff[0], 2 * ((X[0] > 0) & (X[0] < 6)))
