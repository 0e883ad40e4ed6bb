"""NormalizedMSE against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(5)
Y, T = RNG.standard_normal((2, 3, 10))


def by_definition(y, t):
    total = 0.0
    for n in range(len(y)):
        apart = np.hypot(t[n, 0] - t[n, 2], t[n, 1] - t[n, 3]) + 1e-6
        for j in range(y.shape[1]):
            total += ((y[n, j] - t[n, j]) / apart) ** 2
    return total / (2 * len(y))


def test_forward_follows_the_definition():
    _, (loss,) = run(build("NormalizedMSE", bottoms=2), Y, T)
    np.testing.assert_allclose(loss.data, by_definition(Y, T), rtol=1e-12)


def test_eyes_at_one_place_give_a_large_number_and_no_infinity():
    t = T.copy()
    t[1, 2:4] = t[1, 0:2]
    _, (loss,) = run(build("NormalizedMSE", bottoms=2), Y, t)
    np.testing.assert_allclose(loss.data, by_definition(Y, t), rtol=1e-9)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("NormalizedMSE", bottoms=2), Y, T)


@pytest.mark.parametrize("shapes", [((3, 10), (3, 8)), ((3, 2), (3, 2)), ((3, 10), (2, 15))])
def test_items_that_are_no_landmarks_are_refused(shapes):
    with pytest.raises(LayerConfigError, match=r"NormalizedMSE layer 'odd'"):
        build("NormalizedMSE", name="odd", bottoms=2).top_shapes(*shapes)
