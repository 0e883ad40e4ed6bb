"""ELU, BNLL and Swish against their definitions, their derivatives, and their refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

# Signed, and with a zero: the gradient of ELU at 0 is a matter of agreement, not of calculus.
X = np.array([[-3.5, -0.25, 0.0], [0.125, 2.0, 40.0]])
DY = np.array([[2.0, -3.0, 5.0], [-7.0, 11.0, 13.0]])


def elu(alpha):
    def slope(x):
        return 1 if x > 0 else alpha * math.exp(x)

    return lambda x: x if x > 0 else alpha * (math.exp(x) - 1), slope


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def swish(beta):
    def slope(x):
        g = sigmoid(beta * x)
        return g + x * beta * g * (1 - g)

    return lambda x: x * sigmoid(beta * x), slope


CASES = {
    "ELU": ("ELU", {}, *elu(1)),
    "ELU, flatter": ("ELU", dict(alpha=0.25), *elu(0.25)),
    "ELU, a rectifier": ("ELU", dict(alpha=0.0), *elu(0)),
    "ELU, folded upwards": ("ELU", dict(alpha=-0.5), *elu(-0.5)),
    "BNLL": ("BNLL", {}, lambda x: math.log(1 + math.exp(x)), sigmoid),
    "Swish": ("Swish", {}, *swish(1)),
    "Swish, steeper": ("Swish", dict(beta=2.5), *swish(2.5)),
    "Swish, half of x": ("Swish", dict(beta=0.0), *swish(0)),
}
IN_PLACE = [name for name in CASES if name != "ELU, folded upwards"]
cases = pytest.mark.parametrize("type, params, function, slope", CASES.values(), ids=CASES.keys())


def elementwise(function, x):
    return np.array([function(value) for value in x.reshape(-1)]).reshape(x.shape)


def gradient(layer, bottom, top, dy=DY):
    top[0].diff[...] = dy
    layer.backward(top, [True], bottom)
    return bottom[0].diff


@cases
def test_forward_follows_the_definition(type, params, function, slope):
    _, (y,) = run(build(type, **params), X)
    np.testing.assert_allclose(y.data, elementwise(function, X), rtol=1e-12, atol=1e-15)


@cases
def test_backward_follows_the_definition_at_zero_too(type, params, function, slope):
    layer = build(type, **params)
    dx = gradient(layer, *run(layer, X))
    np.testing.assert_allclose(dx, DY * elementwise(slope, X), rtol=1e-12, atol=1e-15)


@cases
def test_backward_is_the_derivative_of_forward(type, params, function, slope):
    check_backward(build(type, **params), np.random.default_rng(3).standard_normal((3, 2, 5)))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", IN_PLACE)
def test_elements_are_worked_on_in_pieces_in_place_too(name, in_place, monkeypatch):
    type, params, function, slope = CASES[name]
    monkeypatch.setattr("minidl.arrays.device.Cpu.piece", 4)  # of 6: one whole piece and a rest
    layer = build(type, in_place=in_place, **params)
    scratch = {b.shape for b in layer.buffers(X.shape).values() if not b.kept}
    assert scratch == {(4,)}
    bottom, top = run(layer, X)
    assert (top[0] is bottom[0]) == in_place
    np.testing.assert_allclose(top[0].data, elementwise(function, X), rtol=1e-12, atol=1e-15)
    dx = gradient(layer, bottom, top)
    np.testing.assert_allclose(dx, DY * elementwise(slope, X), rtol=1e-12, atol=1e-15)


FAR = np.array([-1e30, -1e4, 1e4, 1e30])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "type, left, slopes",
    [("ELU", -1, [0, 0, 1, 1]), ("BNLL", 0, [0, 0, 1, 1]), ("Swish", 0, [0, 0, 1, 1])],
)
def test_far_out_nothing_overflows(type, left, slopes, dtype):
    layer = build(type, dtype=dtype)
    bottom, top = run(layer, FAR)
    np.testing.assert_array_equal(top[0].data, [left, left, *FAR[2:].astype(dtype)])
    np.testing.assert_array_equal(gradient(layer, bottom, top, dy=1), slopes)


@pytest.mark.parametrize("type", ["ELU", "BNLL"])
def test_small_numbers_keep_their_digits_in_float32(type):
    """exp(x) - 1 and log(1 + exp(x)), as they are written, would leave one digit or none."""
    x = np.array([-1e-6, -30.0]).astype(np.float32)
    _, (y,) = run(build(type, dtype=np.float32), x)
    exact = {"ELU": np.expm1, "BNLL": lambda v: np.log1p(np.exp(v))}[type](x.astype(np.float64))
    np.testing.assert_allclose(y.data, exact, rtol=1e-6)


def test_bnll_has_the_gradient_of_small_outputs_to_the_last_digit():
    layer = build("BNLL", dtype=np.float32)
    dx = gradient(layer, *run(layer, np.array([-40.0])), dy=1)
    np.testing.assert_allclose(dx, np.exp(-40.0), rtol=1e-6)


@pytest.mark.parametrize("type", ["ELU", "BNLL", "Swish"])
def test_a_nan_stays_one(type):
    _, (y,) = run(build(type), np.array([np.nan, 1.0]))
    assert np.isnan(y.data).tolist() == [True, False]


def test_a_fold_keeps_its_bottom_and_is_refused_in_place():
    assert build("ELU", alpha=0.5).keeps == ("top",)
    assert "bottom" in build("ELU", alpha=-0.5).keeps
    with pytest.raises(LayerConfigError, match=r"ELU layer 'fold'.*alpha is -0\.5.*'x0'(.|\n)*own"):
        build("ELU", name="fold", alpha=-0.5, in_place=True)
