"""Concat, Slice, Flatten, Reshape and the like in ONNX."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import Net
from minidl.onnx import convert
from tests.onnx.support import check, check_layer, fill, layer_net, needs, operators


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(axis):
    check_layer("Concat", *[(2, 3, 4)] * 3, axis=axis)


def test_a_concat_of_one_blob_is_nothing_but_a_name():
    assert operators(check_layer("Concat", (2, 3))) == ["Identity"]


@pytest.mark.parametrize(
    "keywords",
    [dict(tops=3), dict(tops=2, slice_point=[1]), dict(tops=3, axis=-1, slice_point=[1, 3])],
)
def test_slice(keywords):
    assert operators(check_layer("Slice", (2, 6, 4), **keywords)) == ["Split"]


def test_slices_of_the_batch_fix_it():
    net = check_layer("Slice", (4, 3), tops=2, axis=0)
    assert convert(net).batch == 0


@needs("Transpose")
@pytest.mark.parametrize("dim", [[0, 3, 1, 2], [3, 2, 0, 1]])
def test_transpose(dim):
    assert operators(check_layer("Transpose", (2, 3, 4, 5), dim=dim)) == ["Transpose"]


@needs("Reverse")
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_reverse(axis):
    check_layer("Reverse", (2, 3, 4), axis=axis)


@pytest.mark.parametrize("axis, end", [(1, -1), (0, -1), (2, 3), (0, 1), (1, 1)])
def test_flatten(axis, end):
    check_layer("Flatten", (2, 3, 4, 5), axis=axis, end_axis=end)


RESHAPES = {
    "rest worked out": (True, dict(shape=dict(dim=[0, -1]))),
    "batch worked out": (True, dict(shape=dict(dim=[-1, 4, 15]))),
    "batch merged": (True, dict(shape=dict(dim=[-1, 20]))),
    "middle axes": (True, dict(shape=dict(dim=[2, 2]), axis=2, num_axes=1)),
    "an axis put in": (True, dict(shape=dict(dim=[1]), axis=1, num_axes=0)),
    "batch written down": (False, dict(shape=dict(dim=[2, 60]))),
    "batch behind": (False, dict(shape=dict(dim=[60, -1]))),
}


@pytest.mark.parametrize("varies, keywords", RESHAPES.values(), ids=RESHAPES.keys())
def test_reshape(varies, keywords):
    net = check_layer("Reshape", (2, 3, 4, 5), **keywords)
    assert bool(convert(net).batch) == varies


@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4), data=st.data())
@settings(max_examples=20)
def test_any_flattening(shape, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    check_layer("Flatten", tuple(shape), axis=start, end_axis=end)


@needs("Crop")
@pytest.mark.parametrize(
    "like, keywords",
    [
        ((2, 3, 4, 2), dict(offset=[1])),
        ((2, 2, 5, 3), dict(axis=1, offset=[1, 0, 2])),
        ((9, 9, 9, 2), dict(axis=-1)),
        ((1, 3, 6, 5), dict(axis=0, offset=[1, 0, 0, 0])),
    ],
)
def test_crop_needs_nothing_but_the_shape_of_its_second_bottom(like, keywords):
    net = layer_net("Crop", (2, 3, 6, 5), like, **keywords)
    assert list(convert(net).graph.inputs) == ["x0"]
    check(net, vary=False)


@needs("Tile")
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_tile(axis):
    check_layer("Tile", (2, 3, 4), axis=axis, tiles=3)


@needs("Parameter")
def test_a_parameter_is_a_constant_and_no_input():
    net = Net("""
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } }
        layer { name: "sum" type: "Bias" bottom: "x" bottom: "p" top: "y" }""")
    fill(net)
    graph = convert(net).graph
    assert list(graph.inputs) == ["x"]
    assert list(graph.constants) == ["p/value"]
    check(net)


@needs("Parameter")
def test_a_parameter_as_large_as_the_batch_fixes_it():
    net = Net("""
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "p" type: "Parameter" top: "p"
                parameter_param { shape { dim: 2 dim: 3 } } }
        layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "p" top: "y" }""")
    assert convert(net).batch == 0
    check(net)


@needs("PriorBox")
def test_prior_boxes_are_a_constant_and_leave_the_batch_free():
    net = Net("""
        layer { name: "in" type: "Input" top: "image" input_param { shape {
                dim: 2 dim: 3 dim: 12 dim: 10 } } }
        layer { name: "map" type: "Pooling" bottom: "image" top: "map"
                pooling_param { kernel_size: 4 stride: 4 } }
        layer { name: "boxes" type: "PriorBox" bottom: "map" bottom: "image" top: "boxes"
                prior_box_param { min_size: 3 max_size: 5 aspect_ratio: 2 variance: 0.1
                                  variance: 0.1 variance: 0.2 variance: 0.2 } }""")
    check(net)
    assert operators(net) == ["Identity"]
    (boxes,) = [a for name, a in convert(net).graph.constants.items() if "boxes" in name]
    assert boxes.shape == net.blobs["boxes"].shape


@needs("PriorBox")
def test_the_map_of_prior_boxes_is_not_in_the_model_unless_others_read_it():
    net = layer_net("PriorBox", (2, 8, 3, 2), (2, 3, 30, 20), min_size=[7], clip=True)
    assert convert(net).graph.inputs == {}
    check(net)
