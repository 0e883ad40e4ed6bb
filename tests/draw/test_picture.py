"""What the boxes of a net's picture say, and how they are joined."""

import pytest

from minidl import prototxt, schema
from minidl.draw.picture import detail, picture
from minidl.draw.svg import COLOURS
from minidl.layers.base import FAMILIES, REGISTRY, family_of


def layers_of(text):
    net = prototxt.read_net(text)
    return [
        {
            "spec": spec,
            "family": family_of(spec.type),
            "bottoms": list(spec.bottom),
            "tops": list(spec.top),
            "in_place": list(spec.top[:1]) == list(spec.bottom[:1]),
        }
        for spec in net.layer
    ]


def test_without_shapes_and_phases_all_makers_of_a_blob_are_joined():
    boxes, arrows = picture(
        layers_of(
            """
layer { name: "train" type: "Data" top: "x" top: "y" }
layer { name: "test" type: "Data" top: "x" top: "y" }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "y" top: "loss" }"""
        )
    )
    assert [box.title for box in boxes] == ["train", "test", "ip", "loss"]
    assert arrows == [(0, 2, "x"), (1, 2, "x"), (2, 3, "ip"), (0, 3, "y"), (1, 3, "y")]
    assert boxes[2].strips == [("activation", "ReLU")]
    assert not any(box.shapes for box in boxes)


DETAILS = {
    "3 × 5, stride 2, pad 0 × 1": (
        'type: "Convolution" convolution_param { kernel_h: 3 kernel_w: 5 stride: 2 pad: 0 pad: 1 }'
    ),
    "2 × 2, dilation 3, group 4": (
        'type: "Deconvolution" convolution_param { kernel_size: 2 dilation: 3 group: 4 }'
    ),
    "MAX 3 × 3, stride 2": 'type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }',
    "AVE 2 × 3, stride 1 × 2, pad 1": (
        'type: "Pooling" pooling_param { pool: AVE kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 '
        "pad: 1 }"
    ),
    "PROD": 'type: "Eltwise" eltwise_param { operation: PROD }',
    "0.7": 'type: "Dropout" dropout_param { dropout_ratio: 0.7 }',
    "5": 'type: "LRN"',
    "": 'type: "ReLU"',
}


@pytest.mark.parametrize("text, layer", [(t, la) for t, la in DETAILS.items()], ids=DETAILS.keys())
def test_details(text, layer):
    spec = prototxt.read_message(layer, schema.LayerParameter)
    assert detail(spec) == text


def test_every_family_has_a_colour_and_every_type_a_family():
    assert set(FAMILIES) == set(COLOURS)
    ours = {t: family_of(t) for t in REGISTRY if REGISTRY[t].__module__.startswith("minidl.")}
    assert set(ours.values()) <= set(FAMILIES)
    assert [type for type, family in ours.items() if not family] == ["Python"]


def test_a_type_that_nobody_registered_is_a_loss_by_its_name():
    assert family_of("TheirLoss") == "loss"
    assert family_of("MyOwn") == ""
