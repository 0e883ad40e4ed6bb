"""AbsVal, Clip and Threshold against their definitions, their derivatives, and their refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError, MinidlError
from minidl.net import Net
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.array([[-3.5, -0.5, 0.0], [0.3, 1.25, 40.0]])  # limits of the clips among them
DY = np.array([[2.0, -3.0, 5.0], [-7.0, 11.0, 13.0]])


def clip(low, high):
    def slope(x):
        return 1 if low <= x <= high else 0

    return ("Clip", dict(min=low, max=high), lambda x: min(max(x, low), high), slope)


CASES = {
    "AbsVal": ("AbsVal", {}, abs, lambda x: 1 if x > 0 else -1 if x < 0 else 0),
    "Clip": clip(-0.5, 1.25),
    "Clip below 0": clip(-3.5, -0.5),
    "Clip to one number": clip(0.0, 0.0),
    "Clip, no lower limit": clip(-math.inf, 0.0),
}
cases = pytest.mark.parametrize("type, params, function, slope", CASES.values(), ids=CASES.keys())


def elementwise(function, x):
    return np.array([function(value) for value in x.reshape(-1)], float).reshape(x.shape)


@cases
@pytest.mark.parametrize("in_place", [False, True])
def test_forward_follows_the_definition(type, params, function, slope, in_place):
    _, (y,) = run(build(type, in_place=in_place, **params), X)
    np.testing.assert_array_equal(y.data, elementwise(function, X))


@cases
@pytest.mark.parametrize("piece", [4, 1000])  # of 6: in two pieces and in one
def test_backward_follows_the_definition_at_corners_too(
    type, params, function, slope, piece, monkeypatch
):
    monkeypatch.setattr("minidl.arrays.device.Cpu.piece", piece)
    layer = build(type, **params)
    (x,), (y,) = run(layer, X)
    y.diff[...] = DY
    layer.backward([y], [True], [x])
    np.testing.assert_array_equal(x.diff, DY * elementwise(slope, X))


@cases
def test_backward_is_the_derivative_of_forward(type, params, function, slope):
    check_backward(build(type, **params), np.random.default_rng(3).standard_normal((3, 2, 5)))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("threshold", [0, 0.3, -4])
def test_threshold_tells_what_lies_above_it(threshold, in_place):
    _, (y,) = run(build("Threshold", threshold=threshold, in_place=in_place), X)
    np.testing.assert_array_equal(y.data, [[float(x > threshold) for x in row] for row in X])


def test_clip_does_not_hide_nan():
    _, (y,) = run(build("Clip", min=0, max=1), np.array([np.nan, 2.0]))
    np.testing.assert_array_equal(y.data, [np.nan, 1])


def test_clip_wants_both_limits_in_order():
    with pytest.raises(LayerConfigError, match=r"Clip layer 'c'.*min is 2 and max is 1"):
        build("Clip", name="c", min=2, max=1)
    with pytest.raises(LayerConfigError, match=r"Clip layer 'c'.*min and max missing"):
        build("Clip", name="c")


NET = """
force_backward: {}
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
layer {{ name: "l" bottom: "x" top: "x" {} }}
layer {{ name: "sum" type: "Reduction" bottom: "x" top: "sum" loss_weight: 1 }}
"""
IN_PLACE = ['type: "AbsVal"', 'type: "Clip" clip_param { min: -1 max: 1 }']


@pytest.mark.parametrize("layer", IN_PLACE)
def test_a_net_has_them_in_place_only_where_no_gradient_is_needed(layer):
    net = Net(NET.format("false", layer))
    net.forward(x=np.full((2, 3), -0.5))
    with pytest.raises(MinidlError, match=r"layer 'l'.*overwrites blob 'x'(.|\n)*own"):
        Net(NET.format("true", layer))


LEARNING = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }
layer { name: "t" type: "Threshold" bottom: "y" top: "z" }
layer { name: "sum" type: "Reduction" bottom: "z" top: "sum" loss_weight: 1 }
"""


def test_no_gradient_passes_a_threshold():
    with pytest.raises(MinidlError, match=r"Threshold layer 't'.*cannot pass a gradient on"):
        Net(LEARNING)
