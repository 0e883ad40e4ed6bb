"""Interp, Resize and Upsample in ONNX."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.net import Net
from minidl.onnx import convert
from tests.onnx.support import check, check_layer, layer_net, needs, operators, random_inputs

sides = st.integers(1, 9)


@needs("Interp")
@given(size=st.tuples(sides, sides), out=st.tuples(st.integers(1, 20), st.integers(1, 20)))
@settings(max_examples=25)
def test_interp_to_any_size(size, out):
    net = check_layer("Interp", (2, 3, *size), height=out[0], width=out[1])
    assert operators(net) == ["Shape", "Concat", "Resize"]
    assert convert(net).batch, "it is fixed"


@needs("Interp")
@pytest.mark.parametrize(
    "keywords",
    [
        dict(zoom_factor=3),
        dict(shrink_factor=2),
        dict(shrink_factor=3, zoom_factor=2),
        dict(height=4, width=11, pad_beg=-1, pad_end=-2),
        dict(zoom_factor=2, pad_end=-1),
    ],
)
def test_interp_by_factors_and_with_ends_cut_off(keywords):
    check_layer("Interp", (2, 3, 8, 7), **keywords)


LARGE = {  # rows and columns before, after, and the operator
    "PSPNet's last": ((60, 90), (473, 713), "Resize"),
    "places at whole numbers": ((3, 1025), (3, 513), "Resize"),
    "places of too many digits": ((2, 700), (3, 1001), "MatMul"),
    "nearly as large": ((500, 3), (499, 4), "MatMul"),
}


@needs("Interp")
@pytest.mark.parametrize("before, after, operator", LARGE.values(), ids=LARGE.keys())
def test_interp_of_large_maps(before, after, operator):
    net = check_layer("Interp", (1, 1, *before), height=after[0], width=after[1])
    assert operators(net)[-1] == operator
    assert convert(net).batch, "it is fixed"


@needs("Interp")
def test_ends_are_cut_off_large_maps_too():
    check_layer("Interp", (1, 2, 4, 303), height=5, width=501, pad_beg=-1, pad_end=-2)


@needs("Resize")
@given(size=st.tuples(sides, sides), out=st.tuples(st.integers(1, 20), st.integers(1, 20)))
@settings(max_examples=10)
def test_resize_to_any_size(size, out):
    check_layer("Resize", (2, 3, *size), height=out[0], width=out[1])


@needs("Upsample")
@pytest.mark.parametrize("size", [(6, 8), (5, 8), (7, 7)])
def test_upsample_undoes_a_max_pooling_as_in_segnet(size):
    net = Net(
        f"""
        layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{
                 dim: 2 dim: 3 dim: {size[0]} dim: {size[1]} }} }} }}
        layer {{ name: "pool" type: "Pooling" bottom: "x" top: "small" top: "mask"
                 pooling_param {{ kernel_size: 2 stride: 2 }} }}
        layer {{ name: "conv" type: "Convolution" bottom: "small" top: "conv"
                 convolution_param {{ num_output: 3 kernel_size: 1
                 weight_filler {{ type: "gaussian" std: 1 }} }} }}
        layer {{ name: "up" type: "Upsample" bottom: "conv" bottom: "mask" top: "large"
                 upsample_param {{ upsample_h: {size[0]} upsample_w: {size[1]} }} }}""",
        dtype=np.float64,
        seed=0,
    )
    check(net)
    assert convert(net).batch, "it is fixed"


@needs("Upsample")
def test_places_that_no_value_goes_to_are_zero():
    net = layer_net("Upsample", (1, 2, 2, 2), (1, 2, 2, 2), scale=3)
    mask = np.array([0, 35, 7, 20, 3, 4, 5, 6], np.float32).reshape(1, 2, 2, 2)
    check(net, {"x0": random_inputs(net)["x0"], "x1": mask}, vary=False)
