"""Lstm against one cell at a time, its derivative, and what a pass leaves to the next one."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

RNG = np.random.default_rng(6)
X = RNG.standard_normal((5, 2, 3))
CONT = np.array([[1, 0], [1, 1], [0, 1], [1, 1], [1, 0]], float)


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def outputs(x, cont, params, hidden, cell):
    """h of all steps; `hidden` and `cell`, of each sequence, are changed."""
    inputs, inner, bias = params
    size = inner.shape[1]
    h = np.zeros((*x.shape[:2], size))
    for t, n in np.ndindex(*x.shape[:2]):
        if not cont[t, n]:
            hidden[n], cell[n] = 0, 0
        z = [
            sum(inputs[k] * x[t, n]) + sum(inner[k] * hidden[n]) + bias[k] for k in range(4 * size)
        ]
        for d in range(size):
            i, f, o = (sigmoid(z[part * size + d]) for part in range(3))
            cell[n, d] = f * cell[n, d] + i * math.tanh(z[3 * size + d])
            h[t, n, d] = o * math.tanh(cell[n, d])
        hidden[n] = h[t, n]
    return h


def test_without_a_second_bottom_every_pass_begins_anew():
    layer = build("Lstm", num_output=4)
    bottom, top = bind(layer, X)
    params = [param.data for param in layer.params]
    assert [p.shape for p in params] == [(16, 3), (16, 4), (16,)]
    cont = np.ones((5, 2))
    cont[0] = 0
    expected = outputs(X, cont, params, np.zeros((2, 4)), np.zeros((2, 4)))
    for _ in range(2):
        layer.forward(bottom, top)
        np.testing.assert_allclose(top[0].data, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", [(5, 2), (10,), (10, 1, 1, 1)])
def test_with_one_a_pass_goes_on_from_the_one_before(shape):
    layer = build("Lstm", num_output=4, bottoms=2)
    bottom, top = bind(layer, X, CONT.reshape(shape))
    params = [param.data for param in layer.params]
    hidden, cell = np.zeros((2, 4)), np.zeros((2, 4))
    for _ in range(2):
        layer.forward(bottom, top)
        expected = outputs(X, CONT, params, hidden, cell)
        np.testing.assert_allclose(top[0].data, expected, rtol=1e-12, atol=1e-15)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("Lstm", num_output=2), X)
    begin = CONT.copy()
    begin[0] = 0  # what the pass before left is no function of the bottoms
    check_backward(build("Lstm", num_output=2, bottoms=2), X, begin)


def test_a_threshold_limits_the_gradient_of_every_sum():
    limited, free = (build("Lstm", num_output=2, clipping_threshold=c) for c in (0.01, 0))
    gradients = []
    for layer in (limited, free):
        bottom, top = run(layer, X)
        top[0].diff[...] = 3
        layer.backward(top, [True], bottom)
        gradients.append(layer.params[2].diff.copy())
    assert np.abs(gradients[0]).max() <= 0.01 * 10 + 1e-12
    assert np.abs(gradients[1]).max() > 0.01 * 10


def test_what_does_not_fit_is_refused():
    with pytest.raises(LayerConfigError, match="num_output is 0 or missing"):
        build("Lstm")
    with pytest.raises(LayerConfigError, match="clipping_threshold is -1"):
        build("Lstm", num_output=2, clipping_threshold=-1)
    with pytest.raises(LayerConfigError, match=r"has 5 steps of 2 sequences, but 'x1' is \(5, 3\)"):
        build("Lstm", num_output=2, bottoms=2).top_shapes((5, 2, 3), (5, 3))
