"""SmoothL1Loss against its two pieces, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(4)
A, B = RNG.standard_normal((2, 5, 7)) * 2
INSIDE, OUTSIDE = RNG.random((2, 5, 7)) + 0.5


@pytest.mark.parametrize("sigma", [0.5, 1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_forward_adds_squares_near_0_and_distances_beyond(sigma, weighted):
    weights = [INSIDE, OUTSIDE] if weighted else []
    layer = build("SmoothL1Loss", bottoms=2 + len(weights), sigma=sigma)
    _, (loss,) = run(layer, A, B, *weights)
    inside, outside = weights or np.ones((2, 5, 7))
    total = 0
    for index in np.ndindex(A.shape):
        d = abs(inside[index] * (A[index] - B[index]))
        near = d < 1 / sigma**2
        total += outside[index] * (d**2 * sigma**2 / 2 if near else d - 0.5 / sigma**2)
    np.testing.assert_allclose(loss.data, total / 5, rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.5, 3])
def test_backward_is_the_derivative_of_forward(sigma):
    check_backward(build("SmoothL1Loss", sigma=sigma), A, B)
    check_backward(build("SmoothL1Loss", bottoms=4, sigma=sigma), A, B, INSIDE, OUTSIDE)


def test_the_targets_alone_may_want_a_gradient():
    layer = build("SmoothL1Loss")
    bottom, top = run(layer, A, B)
    top[0].diff.fill(2)
    layer.backward(top, [False, True], bottom)
    np.testing.assert_allclose(bottom[1].diff, -np.clip(A - B, -1, 1) * 2 / 5, rtol=1e-12)


def test_what_does_not_fit_is_refused():
    with pytest.raises(LayerConfigError, match=r"'l'.*has 3 bottoms(.|\n)*come together"):
        build("SmoothL1Loss", name="l", bottoms=3)
    with pytest.raises(LayerConfigError, match=r"'l'.*sigma is 0"):
        build("SmoothL1Loss", name="l", sigma=0)
    with pytest.raises(LayerConfigError, match=r"'x1' has the shape \(4, 2\)"):
        build("SmoothL1Loss").top_shapes((4, 3), (4, 2))
