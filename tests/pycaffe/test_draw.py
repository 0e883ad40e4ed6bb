"""caffe.draw: pictures of a NetParameter in several formats."""

import io
import xml.etree.ElementTree as xml

import pytest

from minidl import TEST, TRAIN, caffe_pb2, prototxt
from minidl.errors import UsageError
from minidl.pycaffe.draw import draw_net, draw_net_to_file

TEXT = """
name: "small"
layer { name: "train" type: "Data" top: "x" top: "y" include { phase: TRAIN } }
layer { name: "test" type: "Data" top: "x" top: "y" include { phase: TEST } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" param { lr_mult: 1 }
  param { lr_mult: 2 } inner_product_param { num_output: 3 } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "y" top: "loss" }
"""
NET = prototxt.read_message(TEXT, caffe_pb2.NetParameter)


def test_the_language_of_graphviz_names_boxes_and_arrows():
    text = draw_net(NET, "TB", "dot").decode()
    assert text.startswith('digraph "small" {\nrankdir=TB;')
    assert 'n2 [label="ip\\nInnerProduct\\nReLU"];' in text
    arrows = [line for line in text.splitlines() if "->" in line]
    assert arrows == [
        'n0 -> n2 [label="x"];',
        'n1 -> n2 [label="x"];',
        'n2 -> n3 [label="ip"];',
        'n0 -> n3 [label="y"];',
        'n1 -> n3 [label="y"];',
    ]
    assert draw_net(NET, "TB", "raw").decode() == text


@pytest.mark.parametrize("phase, there", [(TRAIN, "train"), (TEST, "test")])
def test_a_phase_leaves_layers_out(phase, there):
    text = draw_net(NET, ext="dot", phase=phase).decode()
    assert f'"{there}' in text and text.count("->") == 3


def test_multipliers_of_rates_are_said_if_asked_for():
    assert "lr_mult 1, 2" in draw_net(NET, ext="dot", display_lrm=True).decode()
    assert "lr_mult" not in draw_net(NET, ext="dot").decode()


def test_quotes_and_backslashes_stay_in_their_labels():
    net = caffe_pb2.NetParameter(name='a "b" \\')
    assert draw_net(net, ext="dot").decode().startswith('digraph "a \\"b\\" \\\\" {')


@pytest.mark.parametrize("rankdir", ["LR", "TB", "BT"])
def test_svg_is_a_picture(rankdir):
    assert xml.fromstring(draw_net(NET, rankdir, "svg")).tag.endswith("svg")


@pytest.mark.parametrize("ending", ["png", "jpg", "svg", "dot"])
def test_a_file_is_of_the_format_that_its_name_says(tmp_path, ending):
    if ending in ("png", "jpg"):
        image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    path = tmp_path / f"net.{ending}"
    draw_net_to_file(NET, str(path), "TB")
    if ending in ("png", "jpg"):
        with image.open(path) as made:
            assert made.format == {"png": "PNG", "jpg": "JPEG"}[ending]
    else:
        assert path.read_bytes() == draw_net(NET, "TB", ending)


def test_an_old_net_is_drawn_as_what_it_is_today():
    old = 'input: "x" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1 layers { name: "r" '
    net = prototxt.read_message(old + 'type: RELU bottom: "x" top: "y" }', caffe_pb2.NetParameter)
    assert 'label="r\\nReLU"' in draw_net(net, ext="dot").decode()


def test_what_cannot_be_drawn_is_said():
    pytest.importorskip("PIL", reason="Pillow is not installed")
    with pytest.raises(UsageError, match="there is no format 'xyz'"):
        draw_net(NET, ext="xyz")
    with pytest.raises(UsageError, match="rankdir is 'XY'"):
        draw_net(NET, "XY")


def test_the_pixels_show_the_boxes():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    made = image.open(io.BytesIO(draw_net(NET, "TB")))
    colours = {colour for _, colour in made.getcolors(1 << 20)}
    assert {(0xCF, 0xE2, 0xF7), (0xFB, 0xDF, 0xC5), (0xF6, 0xCE, 0xD0), (255, 255, 255)} <= colours
