"""Convolution and Deconvolution in ONNX."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl.errors import LayerConfigError
from minidl.onnx import convert
from tests.onnx.support import check, check_layer, layer_net, needs, operators

CASES = {
    "plain": ("Convolution", [(2, 3, 7, 6)], dict(num_output=4, kernel_size=3)),
    "no bias": ("Convolution", [(2, 3, 7, 6)], dict(num_output=4, kernel_size=3, bias_term=False)),
    "depthwise": ("Convolution", [(1, 4, 6, 5)], dict(num_output=4, kernel_size=3, group=4)),
    "two bottoms": ("Convolution", [(2, 3, 5, 5)] * 2, dict(num_output=2, kernel_size=2)),
    "one axis": ("Convolution", [(2, 3, 9)], dict(num_output=2, kernel_size=4, stride=2, pad=1)),
    "three axes": ("Convolution", [(1, 2, 4, 5, 3)], dict(num_output=2, kernel_size=[2, 3, 1])),
    "no axes": ("Convolution", [(3, 4)], dict(num_output=2)),
    "images on two axes": (
        "Convolution",
        [(2, 3, 4, 6, 5)],
        dict(num_output=2, kernel_size=2, axis=2),
    ),
    "no images": ("Convolution", [(3, 6, 5)], dict(num_output=2, kernel_size=2, axis=0)),
    "wider than the bottom": (
        "Convolution",
        [(2, 3, 4, 4)],
        dict(num_output=2, kernel_size=5, stride=2),
    ),
    "wider, padded": (
        "Convolution",
        [(2, 3, 2, 7)],
        dict(num_output=2, kernel_size=6, stride=3, pad=1),
    ),
    "transposed": ("Deconvolution", [(2, 3, 4, 3)], dict(num_output=4, kernel_size=3, stride=2)),
    "upsampling": (
        "Deconvolution",
        [(2, 3, 4, 3)],
        dict(num_output=3, group=3, kernel_size=4, stride=2, pad=1, bias_term=False),
    ),
    "transposed, dilated": (
        "Deconvolution",
        [(2, 4, 3, 3)],
        dict(num_output=6, group=2, kernel_size=2, dilation=3),
    ),
}


@pytest.mark.parametrize("type, shapes, keywords", CASES.values(), ids=CASES.keys())
def test_equal_to_the_layer(type, shapes, keywords):
    net = check_layer(type, *shapes, **keywords)
    assert set(operators(net)) <= {"Conv", "ConvTranspose", "Reshape"}


@needs("Im2col")
@pytest.mark.parametrize(
    "shape, keywords",
    [
        ((2, 3, 6, 5), dict(kernel_size=3, stride=2, pad=1)),
        ((2, 3, 6, 5), dict(kernel_h=1, kernel_w=2, dilation=2)),
        ((2, 3, 2, 4), dict(kernel_size=3, stride=2)),
        ((2, 3, 7), dict(kernel_size=2)),
        ((2, 2, 3, 6, 5), dict(kernel_size=2, axis=2)),
    ],
)
def test_im2col(shape, keywords):
    check_layer("Im2col", shape, **keywords)


def test_bottoms_share_one_constant():
    net = layer_net("Convolution", *[(2, 3, 5, 5)] * 2, num_output=2, kernel_size=2)
    assert set(convert(net).graph.constants) == {"layer/weight", "layer/bias"}


@given(data=st.data())
@settings(max_examples=25)
def test_any_geometry(data):
    draw = data.draw
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride, dilation = draw(pair), draw(pair), draw(st.integers(1, 2))
    pad = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    group = draw(st.sampled_from([1, 2, 3]))
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    type = draw(st.sampled_from(["Convolution", "Deconvolution"]))
    try:
        net = layer_net(
            type,
            (2, 2 * group, *size),
            num_output=group,
            group=group,
            kernel_h=kernel[0],
            kernel_w=kernel[1],
            stride_h=stride[0],
            stride_w=stride[1],
            pad_h=pad[0],
            pad_w=pad[1],
            dilation=dilation,
        )
    except LayerConfigError:
        assume(False)
    check(net)
