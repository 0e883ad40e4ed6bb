"""Exp and Log against their definitions, their derivatives, and their refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError, MinidlError
from minidl.net import Net
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

BASES = {
    "e": dict(),
    "e, linear": dict(scale=-0.5, shift=0.25),
    "2": dict(base=2, scale=0.5, shift=-1.5),
    "10": dict(base=10, shift=0.25),
    "below 1": dict(base=0.5, scale=3),
    "scale 0": dict(base=3, scale=0, shift=2),
}
bases = pytest.mark.parametrize("params", BASES.values(), ids=BASES.keys())


def sample(layer):
    (x,) = layer.sample_bottoms([(3, 2, 5)], np.random.default_rng(7))
    return x


def filled(params):
    p = {"base": -1, "scale": 1, "shift": 0, **params}
    return (math.e if p["base"] == -1 else p["base"]), p["scale"], p["shift"]


@bases
def test_exp_follows_its_definition(params):
    base, scale, shift = filled(params)
    layer = build("Exp", **params)
    x = sample(layer)
    _, (y,) = run(layer, x)
    expected = [math.pow(base, shift + scale * v) for v in x.reshape(-1)]
    np.testing.assert_allclose(y.data.reshape(-1), expected, rtol=1e-12)


@bases
def test_log_follows_its_definition(params):
    base, scale, shift = filled(params)
    layer = build("Log", **params)
    x = sample(layer)
    _, (y,) = run(layer, x)
    expected = [math.log(shift + scale * v, base) for v in x.reshape(-1)]
    np.testing.assert_allclose(y.data.reshape(-1), expected, rtol=1e-12, atol=1e-15)


@bases
@pytest.mark.parametrize("type", ["Exp", "Log"])
def test_backward_is_the_derivative_of_forward(type, params):
    layer = build(type, **params)
    check_backward(layer, sample(layer))


@bases
def test_exp_in_place_has_the_same_gradient(params):
    apart, inside = build("Exp", **params), build("Exp", in_place=True, **params)
    x, dy = sample(apart), np.random.default_rng(8).standard_normal((3, 2, 5))
    results = []
    for layer in (apart, inside):
        bottom, top = run(layer, x)
        results.append(np.array(top[0].data))
        top[0].diff[...] = dy
        layer.backward(top, [True], bottom)
        results.append(bottom[0].diff)
    np.testing.assert_array_equal(results[2], results[0])
    np.testing.assert_array_equal(results[3], results[1])


def test_a_shift_that_would_overflow_by_itself_does_not():
    _, (y,) = run(build("Exp", dtype=np.float32, shift=200), np.array([-200.0, -199.0]))
    np.testing.assert_allclose(y.data, [1, math.e], rtol=1e-5)


def test_a_logarithm_of_nothing_is_infinite_and_of_less_is_nan():
    with np.errstate(all="ignore"):
        _, (y,) = run(build("Log", shift=-1), np.array([1.0, 0.5, 2.0]))
    np.testing.assert_array_equal(y.data, [-math.inf, math.nan, 0])


@pytest.mark.parametrize("type", ["Exp", "Log"])
@pytest.mark.parametrize("base", [0, -2, math.inf, math.nan])
def test_a_base_that_is_none_is_refused(type, base):
    with pytest.raises(LayerConfigError, match=rf"{type} layer 'l'.*base is(.|\n)*above 0"):
        build(type, name="l", base=base)


def test_there_is_no_logarithm_to_base_1_but_its_powers_are_1():
    with pytest.raises(LayerConfigError, match=r"Log layer 'l'.*base is 1\n(.|\n)*not 1"):
        build("Log", name="l", base=1)
    _, (y,) = run(build("Exp", base=1), np.array([-5.0, 3.0]))
    np.testing.assert_array_equal(y.data, [1, 1])


NET = """
force_backward: {}
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
layer {{ name: "log" type: "Log" bottom: "x" top: "x" }}
layer {{ name: "sum" type: "Reduction" bottom: "x" top: "sum" loss_weight: 1 }}
"""


def test_log_works_in_place_where_no_gradient_is_asked_for():
    net = Net(NET.format("false"))
    (y,) = net.forward(x=np.full((2, 3), 2.0)).values()
    np.testing.assert_allclose(y, 6 * math.log(2), rtol=1e-6)


def test_a_net_refuses_log_in_place_where_its_gradient_is_needed():
    with pytest.raises(MinidlError, match=r"Log layer 'log'.*overwrites blob 'x'(.|\n)*own"):
        Net(NET.format("true"))
