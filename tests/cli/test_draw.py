"""minidl draw: which boxes and arrows a net has, and what they say."""

import xml.etree.ElementTree as xml

import pytest

from minidl import prototxt
from minidl.cli import main, parser_for, summarize
from minidl.draw.picture import picture
from minidl.layers.base import family_of

NET = """
name: "small"
layer { name: "in" type: "Input" top: "x" top: "z"
        input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
        convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }
layer { name: "bn" type: "BatchNorm" bottom: "y" top: "y" }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
layer { name: "sum" type: "Eltwise" bottom: "y" bottom: "z" top: "sum" }
layer { name: "twice" type: "Scale" bottom: "sum" bottom: "y" top: "sum" scale_param { axis: 0 } }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool"
        pooling_param { pool: AVE global_pooling: true } }
"""


@pytest.fixture
def drawn(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    args = parser_for("draw").read([str(path)])
    net = prototxt.read_net(path)
    specs = {layer.name: layer for layer in net.layer}
    layers = summarize.summary(net, args)["layers"]
    return picture(
        [{**r, "spec": specs[r["name"]], "family": family_of(r["type"])} for r in layers]
    )


def test_boxes_say_parameters_and_shapes(drawn):
    boxes = {box.title: box for box in drawn[0]}
    assert list(boxes) == ["in", "conv", "sum", "twice", "pool"]
    assert boxes["in"].shapes == ["x: 2 × 3 × 6 × 6", "z: 2 × 3 × 6 × 6"]
    assert boxes["conv"].lines == ["Convolution 3 × 3, pad 1"]
    assert boxes["pool"].lines == ["Pooling AVE of all"]
    assert boxes["pool"].shapes == ["2 × 3 × 1 × 1"]


def test_layers_in_place_are_strips_unless_they_read_something_else_too(drawn):
    conv = drawn[0][1]
    assert conv.strips == [("norm", "BatchNorm"), ("activation", "ReLU")]
    assert drawn[0][3].title == "twice"


def test_arrows_join_whoever_made_a_blob_last_with_its_readers(drawn):
    boxes, arrows = drawn
    named = [(boxes[a].title, boxes[b].title, text.partition(":")[0]) for a, b, text in arrows]
    assert named == [
        ("in", "conv", "x"),
        ("conv", "sum", "y"),
        ("in", "sum", "z"),
        ("sum", "twice", "sum"),
        ("conv", "twice", "y"),
        ("twice", "pool", "sum"),
    ]


@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_the_file_is_a_picture(tmp_path, capsys, direction):
    (tmp_path / "net.prototxt").write_text(NET)
    out = str(tmp_path / "net.svg")
    assert main(["draw", str(tmp_path / "net.prototxt"), "-o", out, "--rankdir", direction]) == 0
    assert capsys.readouterr().out == f"{out}  5 boxes for 7 layers\n"
    assert xml.parse(out).getroot().tag.endswith("svg")


@pytest.mark.parametrize("words", [[], ["-o", "net.png"], ["--out=net"]])
def test_only_svg_is_written(tmp_path, capsys, words):
    (tmp_path / "net.prototxt").write_text(NET)
    assert main(["draw", str(tmp_path / "net.prototxt"), *words]) == 2
    assert "net.svg" in capsys.readouterr().err
