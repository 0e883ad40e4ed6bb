"""Reduction against loops, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(9).standard_normal((2, 3, 5))

OPERATIONS = {
    "SUM": lambda xs: sum(xs),
    "ASUM": lambda xs: sum(abs(x) for x in xs),
    "SUMSQ": lambda xs: sum(x * x for x in xs),
    "MEAN": lambda xs: sum(xs) / len(xs),
}


@pytest.fixture(params=OPERATIONS.items(), ids=OPERATIONS.keys())
def operation(request):
    return request.param


@pytest.mark.parametrize("coeff", [1, -1.5])
@pytest.mark.parametrize("axis, top", [(0, ()), (1, (2,)), (2, (2, 3)), (-1, (2, 3)), (-3, ())])
def test_forward_follows_the_definition(operation, axis, top, coeff):
    name, function = operation
    layer = build("Reduction", operation=name, axis=axis, coeff=coeff)
    assert layer.top_shapes(X.shape) == (top,)
    _, (y,) = run(layer, X)
    expected = [coeff * function(row.tolist()) for row in X.reshape(int(np.prod(top)), -1)]
    np.testing.assert_allclose(y.data.reshape(-1), expected, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_backward_is_the_derivative_of_forward(operation, axis):
    check_backward(build("Reduction", operation=operation[0], axis=axis, coeff=-1.5), X)


def test_the_absolute_value_has_gradient_zero_at_zero():
    layer = build("Reduction", operation="ASUM", coeff=2)
    (x,), (y,) = run(layer, np.array([-3.0, 0.0, 0.5]))
    y.diff.fill(5)
    layer.backward([y], [True], [x])
    assert x.diff.tolist() == [-10, 0, 10]


def test_the_default_is_the_sum_of_everything():
    _, (y,) = run(build("Reduction"), X)
    assert y.shape == ()
    np.testing.assert_allclose(y.data, X.sum(), rtol=1e-12)


def test_only_the_powers_read_the_bottom_again():
    keeps = {op: build("Reduction", operation=op).keeps for op in OPERATIONS}
    assert keeps == {"SUM": (), "ASUM": ("bottom",), "SUMSQ": ("bottom",), "MEAN": ()}


def test_a_long_float32_sum_keeps_its_digits():
    # 2**20 times 0.1, one after the other in float32, would be off by 1e-2 relative.
    x = np.full((1, 1 << 20), 0.1, np.float32)
    _, (y,) = run(build("Reduction", axis=1, dtype=np.float32), x)
    np.testing.assert_allclose(y.data, x.astype(np.float64).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("axis", [3, -4])
def test_an_axis_outside_the_bottom_is_refused(axis):
    layer = build("Reduction", name="r", axis=axis)
    with pytest.raises(
        LayerConfigError, match=rf"Reduction layer 'r'.*axis is {axis}.*\(2, 3, 5\) has 3 axes"
    ):
        layer.top_shapes(X.shape)


def test_a_scalar_has_no_axis_to_reduce():
    with pytest.raises(LayerConfigError, match=r"axis is 0, but the bottom \(\) has 0 axes"):
        build("Reduction").top_shapes(())
