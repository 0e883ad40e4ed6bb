"""A net made small: the same layers, fewer records, channels and pixels."""

from argparse import Namespace

import pytest

from minidl import prototxt, schema
from minidl.cli.shrink import shrink
from minidl.errors import LayerConfigError
from minidl.layers.context import Context

NET = """
layer {{ name: "data" type: "DummyData" top: "data" top: "label" include {{ phase: TRAIN }}
  dummy_data_param {{ shape {{ dim: 64 dim: 3 dim: 60 dim: 48 }} shape {{ dim: 64 }} }} }}
layer {{ name: "data" type: "DummyData" top: "data" top: "label" include {{ phase: TEST }}
  dummy_data_param {{ shape {{ dim: 1 dim: 3 dim: 60 dim: 48 }} shape {{ dim: 1 }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: {outputs} kernel_size: {kernel} group: {group} }} }}
layer {{ name: "deep" type: "Convolution" bottom: "conv" top: "deep"
  convolution_param {{ num_output: {outputs} kernel_size: 1 group: {deep} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "deep" top: "ip"
  inner_product_param {{ num_output: 10 }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }}
"""


def shapes(factor, batch=2, outputs=32, kernel=5, group=1, deep=1, phase=schema.TRAIN):
    text = NET.format(outputs=outputs, kernel=kernel, group=group, deep=deep)
    args = Namespace(batch=batch, shrink=factor, level=0, stage=())
    return shrink(prototxt.read_net(text), Context(phase=phase), args).blob_shapes


def test_factor_1_only_takes_fewer_records():
    assert shapes(1) == {
        "data": (2, 3, 60, 48),
        "label": (2,),
        "conv": (2, 32, 56, 44),
        "deep": (2, 32, 56, 44),
        "ip": (2, 10),
        "(automatic)": (),
    }


def test_channels_and_pixels_are_divided():
    small = shapes(4, batch=3)
    assert small["data"] == (3, 3, 15, 12) and small["label"] == (3,)
    assert small["conv"] == (3, 8, 11, 8) and small["ip"] == (3, 2)


def test_a_batch_that_is_smaller_stays():
    assert shapes(4, batch=9, phase=schema.TEST)["label"] == (1,)


def test_pixels_are_raised_as_far_as_a_window_needs():
    small = shapes(20, kernel=7)  # 3 x 2 pixels would be a twentieth
    assert small["data"] == (2, 3, 9, 7)
    assert small["conv"] == (2, 1, 3, 1)


def test_groups_keep_dividing_the_channels():
    assert shapes(5, outputs=32, deep=4)["deep"][1] == 4
    assert shapes(100, outputs=32, deep=32)["deep"][1] == 1  # depthwise follows its bottom
    assert shapes(4, outputs=32, deep=32)["deep"][1] == 8


def test_what_no_size_makes_right_is_refused():
    with pytest.raises(LayerConfigError, match="'conv'"):
        shapes(4, kernel=61)
