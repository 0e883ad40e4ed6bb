"""LSTM and LSTMUnit against their definition and their derivative."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

T, N, D, S, H = 4, 2, 3, 2, 3
RANDOM = np.random.default_rng(7)
X, STATIC = RANDOM.standard_normal((T, N, D)), RANDOM.standard_normal((N, S))
CONT = np.array([[0, 1], [1, 1], [1, 0], [1, 1.0]])


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def unit(before, sums, cont):
    """(c, h) of one cell; its sums are z_i, z_f, z_o and z_g."""
    i, f, o = map(sigmoid, sums[:3])
    c = f * cont * before + i * math.tanh(sums[3])
    return c, o * math.tanh(c)


def lstm_by_definition(x, cont, params, h, c, static=None):
    w_x, b, *w_static, w_h = params
    outputs = []
    for t in range(T):
        h_before, h, c = h, np.empty_like(h), c.copy()
        for n, k in np.ndindex(N, H):
            sums = []
            for gate in range(4):
                row = gate * H + k
                z = w_x[row] @ x[t, n] + b[row] + w_h[row] @ (cont[t, n] * h_before[n])
                sums.append(z + (w_static[0][row] @ static[n] if static is not None else 0))
            c[n, k], h[n, k] = unit(c[n, k], sums, cont[t, n])
        outputs.append(h)
    return np.array(outputs), h, c


@pytest.mark.parametrize("static", [None, STATIC], ids=["", "with x_static"])
def test_two_passes_follow_the_definition(static):
    others = [] if static is None else [static]
    layer = build("LSTM", bottoms=2 + len(others), num_output=H)
    bottom, (y,) = run(layer, X, CONT, *others)
    params, zero = [p.data for p in layer.params], np.zeros((N, H))
    expected, h, c = lstm_by_definition(X, CONT, params, zero, zero, static)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)
    bottom[0].data[...], bottom[1].data[...] = X[::-1], 1
    layer.forward(bottom, [y])
    expected, _, _ = lstm_by_definition(X[::-1], np.ones((T, N)), params, h, c, static)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)


def test_exposed_states_are_hidden_before_cell():
    h, c = RANDOM.standard_normal((2, 1, N, H))
    layer = build("LSTM", bottoms=4, tops=3, num_output=H, expose_hidden=True)
    _, top = run(layer, X, CONT, h, c)
    params = [p.data for p in layer.params]
    for blob, expected in zip(top, lstm_by_definition(X, CONT, params, h[0], c[0]), strict=True):
        np.testing.assert_allclose(blob.data.reshape(expected.shape), expected, rtol=1e-12)


def test_parameters_are_those_of_a_caffemodel():
    shapes = build("LSTM", bottoms=3, num_output=H).param_shapes((T, N, 2, 5), (T, N), (N, S))
    assert list(shapes.items()) == [
        ("W_xc", (12, 10)),
        ("b_c", (12,)),
        ("W_xc_static", (12, 2)),
        ("W_hc", (12, 3)),
    ]
    shapes = build("RNN", num_output=H).param_shapes((T, N, 2, 5), (T, N))
    assert list(shapes) == ["W_xh", "b_h", "W_hh", "W_ho", "b_o"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_sums_overflow_nothing(dtype):
    layer = build("LSTM", num_output=H, dtype=dtype)
    with np.errstate(all="raise"):
        _, (y,) = run(layer, 1e4 * X, CONT)
    assert np.isfinite(y.data).all()


# --------------------------------------------------------------------------------------- LSTMUnit


def example():
    before, sums = RANDOM.standard_normal((1, N, H)), RANDOM.standard_normal((1, N, 4 * H))
    return before, sums, np.array([[1.0, 0.0]])


def test_a_unit_follows_the_definition():
    before, sums, cont = example()
    _, (c, h) = run(build("LSTMUnit"), before, sums, cont)
    for n, k in np.ndindex(N, H):
        expected = unit(before[0, n, k], sums[0, n, k::H], cont[0, n])
        assert (c.data[0, n, k], h.data[0, n, k]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cont", [1, 0.25])
def test_backward_of_a_unit_is_the_derivative(cont):
    before, sums, going_on = example()
    check_backward(build("LSTMUnit"), before, sums, cont * going_on)


@pytest.mark.parametrize("wanted", [[True, False, False], [False, True, False]])
def test_a_unit_gives_only_what_is_wanted(wanted):
    layer = build("LSTMUnit")
    bottom, top = run(layer, *example())
    for blob in bottom:
        blob.diff.fill(np.nan)
    for blob in top:
        blob.diff.fill(1)
    layer.backward(top, wanted, bottom)
    assert [not np.isnan(blob.diff).any() for blob in bottom] == wanted


@pytest.mark.parametrize(
    "shapes, found",
    [
        (((2, 3, 4), (2, 3, 16), (2, 3)), r"'x0' is \(2, 3, 4\)(.|\n)*one step"),
        (((1, 3, 4), (1, 3, 12), (1, 3)), r"'x1' is \(1, 3, 12\)(.|\n)*\(1, 3, 16\)"),
        (((1, 3, 4), (1, 3, 16), (3,)), r"'x2' is \(3,\)(.|\n)*\(1, 3\)"),
    ],
)
def test_a_unit_refuses_bottoms_that_do_not_fit(shapes, found):
    with pytest.raises(LayerConfigError, match=f"LSTMUnit layer 'unit': {found}"):
        build("LSTMUnit", name="unit").top_shapes(*shapes)
