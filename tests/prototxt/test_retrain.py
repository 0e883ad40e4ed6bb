"""A deploy.prototxt that learns again."""

import pytest

import minidl
from minidl import prototxt, schema
from minidl.errors import GraphError
from minidl.prototxt import retrain
from minidl.prototxt.phases import filter_layers, net_state
from tests.support import shared

NET = """
name: "used"
layer { name: "in" type: "Input" top: "pixels"
  input_param { shape { dim: 1 dim: 3 dim: SIDE dim: SIDE } } }
layer { name: "conv" type: "Convolution" bottom: "pixels" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


def made(text, side=30):
    return retrain.for_training(prototxt.read_net(text.replace("SIDE", str(side))))


def layers(net, phase):
    return filter_layers(net, net_state(phase)).layer


def test_data_loss_and_measure_take_the_places_of_input_and_softmax():
    net = made(NET)
    train, test = layers(net, schema.TRAIN), layers(net, schema.TEST)
    assert [x.type for x in train] == "Data Convolution ReLU InnerProduct SoftmaxWithLoss".split()
    assert [x.name for x in test] == ["data", "conv", "relu", "ip", "accuracy", "loss"]
    assert list(train[0].top) == ["pixels", "label"]
    assert list(train[-1].bottom) == list(test[-2].bottom) == ["ip", "label"]
    assert [train[i].convolution_param.weight_filler.type for i in (1,)] == ["msra"]
    assert train[3].inner_product_param.weight_filler.type == "xavier"
    assert not train[0].HasField("transform_param")


def test_inputs_of_imagenets_size_see_a_window():
    net = made(NET, 227)
    t = [layer.transform_param for layer in net.layer[:2]]
    assert [(x.crop_size, x.mirror) for x in t] == [(227, True), (227, False)]
    assert made(NET, 257).layer[0].transform_param.crop_size == 0


def test_scores_may_be_the_end():
    without = NET.replace('layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }', "")
    assert list(made(without).layer[-1].bottom) == ["ip", "label"]


def test_several_outputs_are_refused():
    more = NET + 'layer { name: "x" type: "Pooling" bottom: "conv" top: "x" }'
    with pytest.raises(GraphError, match="has 2 outputs: prob, x(.|\n)*train_val.prototxt"):
        made(more)


def test_the_size_is_that_of_the_input():
    assert retrain.input_size(prototxt.read_net(NET.replace("SIDE", "30"))) == (30, 30)
    flat = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }'
    assert retrain.input_size(prototxt.read_net(flat)) is None
    assert retrain.input_size(prototxt.read_net('layer { name: "a" type: "ReLU" }')) is None


def test_a_real_net_takes_its_own_weights():
    folder = shared("models/squeezenet_v1.0")
    net = retrain.for_training(prototxt.read_net(folder / "deploy.prototxt"))
    for data in net.layer[:2]:
        data.data_param.source, data.data_param.batch_size = "none", 1
    with minidl.Net(net, minidl.TRAIN, absent_data=(3, 256, 256)) as train:
        train.copy_from(folder / "weights.caffemodel")
        assert train.blobs["conv_final"].shape[1] == 1000
        assert abs(train.params["conv1"][0].data).sum() > 100
