"""L1Loss against its sum, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

A, B = np.random.default_rng(4).standard_normal((2, 5, 7)) * 2


def test_forward_adds_all_distances():
    _, (loss,) = run(build("L1Loss"), A, B.reshape(5, 7, 1))
    total = sum(abs(A[index] - B[index]) for index in np.ndindex(A.shape))
    np.testing.assert_allclose(loss.data, total / 5, rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("L1Loss"), A, B)


def test_equal_numbers_get_no_gradient():
    layer = build("L1Loss")
    bottom, top = run(layer, A, np.where(A > 0, A, B))
    top[0].diff.fill(2)
    layer.backward(top, [True, True], bottom)
    expected = np.where(A > 0, 0, np.sign(A - B)) * 2 / 5
    np.testing.assert_array_equal(bottom[0].diff, expected)
    np.testing.assert_array_equal(bottom[1].diff, -expected)


def test_what_does_not_fit_is_refused():
    with pytest.raises(LayerConfigError, match=r"(?s)'l'.*3 elements.*have 2.*as many"):
        build("L1Loss", name="l").top_shapes((4, 3), (4, 2))
    with pytest.raises(LayerConfigError, match="differ in their first axis"):
        build("L1Loss").top_shapes((4, 3), (3, 4))
