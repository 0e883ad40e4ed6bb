"""Pooling in ONNX: Caffe's rounding up, its clipping, its divisor."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl.errors import LayerConfigError
from tests.onnx.support import check, check_layer, layer_net, needs, operators, random_inputs

IMAGES = (2, 3, 7, 6)
CASES = {
    "whole windows": (["MaxPool"], dict(kernel_size=3, stride=2)),
    "overhanging": (["MaxPool"], dict(kernel_size=2, stride=2)),
    "padded, clipped": (["MaxPool"], dict(kernel_size=2, stride=2, pad=1)),
    "rounded down": (["MaxPool"], dict(kernel_size=2, stride=2, round_mode="FLOOR")),
    "global": (["GlobalMaxPool"], dict(global_pooling=True)),
    "average": (["AveragePool"], dict(pool="AVE", kernel_size=3, stride=2)),
    "average, overhanging": (["AveragePool"], dict(pool="AVE", kernel_size=3, stride=3)),
    "average, padded": (["AveragePool"], dict(pool="AVE", kernel_size=3, stride=1, pad=1)),
    "average, padded and overhanging": (
        ["AveragePool", "Mul"],
        dict(pool="AVE", kernel_size=3, stride=3, pad=1),
    ),
    "average, rounded down": (
        ["AveragePool"],
        dict(pool="AVE", kernel_size=3, stride=2, pad=1, round_mode="FLOOR"),
    ),
    "average, global": (["GlobalAveragePool"], dict(pool="AVE", global_pooling=True)),
    "average, global in fact": (
        ["GlobalAveragePool"],
        dict(pool="AVE", kernel_h=7, kernel_w=6),
    ),
}


@pytest.mark.parametrize("expected, keywords", CASES.values(), ids=CASES.keys())
def test_equal_to_the_layer(expected, keywords):
    assert operators(check_layer("Pooling", IMAGES, **keywords)) == expected


@pytest.mark.parametrize("keywords", [dict(stride=2), dict(stride=1, pad=1), dict(stride=3)])
def test_the_place_of_the_maximum_is_counted_within_its_channel(keywords):
    net = layer_net("Pooling", IMAGES, tops=2, kernel_size=3, **keywords)
    check(net)
    ties = np.round(random_inputs(net)["x0"])  # the first of several maxima counts
    check(net, {"x0": ties})


def test_stochastic_pooling_is_the_weighted_mean():
    net = layer_net("Pooling", IMAGES, pool="STOCHASTIC", kernel_size=3, stride=2)
    x = np.abs(random_inputs(net)["x0"])
    x[0, 1] = 0  # windows without anything give 0, not NaN
    check(net, {"x0": x})


@given(data=st.data())
@settings(max_examples=40)
def test_any_geometry(data):
    draw = data.draw
    small = st.integers(1, 5)
    pad = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    try:
        net = layer_net(
            "Pooling",
            (2, 2, draw(st.integers(1, 11)), draw(st.integers(1, 11))),
            pool=draw(st.sampled_from(["MAX", "AVE"])),
            kernel_h=draw(small),
            kernel_w=draw(small),
            stride_h=draw(small),
            stride_w=draw(small),
            pad_h=pad[0],
            pad_w=pad[1],
            round_mode=draw(st.sampled_from(["CEIL", "FLOOR"])),
        )
    except LayerConfigError:
        assume(False)
    check(net)


@needs("SPP")
@pytest.mark.parametrize("height", [1, 2, 3])
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_pyramid(height, pool):
    check_layer("SPP", (2, 3, 9, 7), pyramid_height=height, pool=pool)


@needs("SpatialPyramidPooling")
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
@pytest.mark.parametrize("bins", [[1, 2, 3], [4], [2, 6]])
def test_pyramid_of_2014(bins, pool):
    check_layer("SpatialPyramidPooling", (2, 3, 13, 9), spatial_bin=bins, pool=pool)
