"""The splits between the layers of a net, and blobs that nobody makes."""

import pytest

from minidl import prototxt, schema
from minidl.errors import GraphError
from minidl.net import graph

TRAIN, TEST = schema.TRAIN, schema.TEST


def net(text):
    return prototxt.read_net('name: "n"\n' + text)


def layer(name, bottoms="", tops="", more="", type="Power"):
    parts = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{type}" {" ".join(parts)} {more} }}\n'


def names(net):
    return [spec.name for spec in net.layer]


def test_a_top_used_twice_is_split_under_caffes_names():
    split = graph.insert_splits(
        net(layer("data", "", "x") + layer("a", "x", "ya") + layer("b", "x ya", "yb"))
    )
    assert names(split) == ["data", "x_data_0_split", "a", "b"]
    assert list(split.layer[1].top) == ["x_data_0_split_0", "x_data_0_split_1"]
    assert list(split.layer[2].bottom) == ["x_data_0_split_0"]
    assert list(split.layer[3].bottom) == ["x_data_0_split_1", "ya"]


def test_an_in_place_top_is_split_after_its_last_writer():
    split = graph.insert_splits(
        net(
            layer("data", "", "x")
            + layer("relu", "x", "x")
            + layer("a", "x", "ya")
            + layer("b", "x", "yb")
        )
    )
    assert names(split) == ["data", "relu", "x_relu_0_split", "a", "b"]
    assert list(split.layer[1].bottom) == list(split.layer[1].top) == ["x"]


def test_an_in_place_layer_beside_another_reader_is_refused():
    """Caffe too: behind a split, the top is a second blob of the same name."""
    text = layer("data", "", "x") + layer("a", "x", "y") + layer("relu", "x", "x")
    with pytest.raises(GraphError, match="'relu': works in place on 'x', which layer 'a' reads"):
        graph.insert_splits(net(text))


def test_an_in_place_layer_on_a_loss_is_refused():
    text = layer("data", "", "x") + layer("l", "x", "l", "loss_weight: 1")
    with pytest.raises(GraphError, match="'relu': works in place on 'l', which a loss weight uses"):
        graph.insert_splits(net(text + layer("relu", "l", "l")))


def test_a_used_loss_is_split_and_its_weight_moves_to_the_first_part():
    split = graph.insert_splits(
        net(
            layer("data", "", "x")
            + layer("loss", "x", "l", "loss_weight: 3")
            + layer("user", "l", "y")
        )
    )
    assert names(split) == ["data", "loss", "l_loss_0_split", "user"]
    assert list(split.layer[1].loss_weight) == [0]
    assert list(split.layer[2].loss_weight) == [3, 0]
    assert list(split.layer[3].bottom) == ["l_loss_0_split_1"]


def test_an_unused_loss_is_not_split():
    text = layer("data", "", "x") + layer("loss", "x", "l", "loss_weight: 3")
    assert names(graph.insert_splits(net(text))) == ["data", "loss"]


def test_all_unknown_bottoms_are_named_with_the_nearest_blob():
    text = layer("data", "", "image") + layer("a", "imgae", "y") + layer("b", "later", "z")
    text += layer("c", "image", "later")
    with pytest.raises(GraphError) as error:
        graph.insert_splits(net(text))
    message = str(error.value)
    assert "layer 'a': bottom[0] 'imgae' is unknown" in message
    assert "did you mean 'image'?" in message
    assert "layer 'c' makes it, but comes later" in message


def test_one_top_from_two_layers_is_refused():
    with pytest.raises(GraphError, match="'b': makes top 'x', which layer 'a' already makes"):
        graph.insert_splits(net(layer("a", "", "x") + layer("b", "", "x")))
