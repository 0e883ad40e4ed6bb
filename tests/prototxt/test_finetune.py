"""Nets fitted to other classes: which layers are the last, what a renamed and a frozen one is."""

import pytest

from minidl import prototxt
from minidl.errors import GraphError
from minidl.prototxt import finetune

NET = """
name: "two heads"
layer { name: "d" type: "Data" top: "data" top: "label" }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" param { lr_mult: 1 }
  inner_product_param { num_output: 1000 } }
layer { name: "side" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "l1" }
layer { name: "conv2" type: "Convolution" bottom: "conv" top: "conv2"
  param { lr_mult: 1 } param { lr_mult: 2 }
  convolution_param { num_output: 1000 kernel_size: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "pool" type: "Pooling" bottom: "conv2" top: "pool"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "top1" type: "Accuracy" bottom: "pool" bottom: "label" top: "top1" }
layer { name: "top5" type: "Accuracy" bottom: "pool" bottom: "label" top: "top5"
  accuracy_param { top_k: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "pool" bottom: "label" top: "loss" }
"""
BLOBS = {"conv": 2, "bn": 3, "ip": 2, "conv2": 2}


@pytest.fixture
def net():
    return prototxt.read_net(NET)


def layer(net, name):
    return next(x for x in net.layer if x.name == name)


def test_the_last_layers_that_learn_get_as_many_outputs_as_there_are_classes(net):
    assert [x.name for x in finetune.heads(net)] == ["ip", "conv2"]
    finetune.set_classes(net, 3)
    assert layer(net, "ip").inner_product_param.num_output == 3
    assert layer(net, "conv2").convolution_param.num_output == 3
    assert layer(net, "conv").convolution_param.num_output == 4
    names = [x.name for x in net.layer]
    assert "top1" in names and "top5" not in names  # the best five of three are always right


def test_more_classes_than_five_keep_the_best_five(net):
    finetune.set_classes(net, 6)
    assert "top5" in [x.name for x in net.layer]


def test_the_last_layers_begin_anew_under_another_name_and_learn_faster(net):
    assert finetune.rename_heads(net, "birds") == {"ip": "ip_birds", "conv2": "conv2_birds"}
    assert [p.lr_mult for p in layer(net, "conv2_birds").param] == [10, 20]
    assert [p.lr_mult for p in layer(net, "ip_birds").param] == [10, 20]  # the bias's was unsaid
    assert not layer(net, "conv").param


def test_a_frozen_layer_keeps_its_parameters_and_its_statistics(net):
    assert finetune.freeze(net, "bn", BLOBS) == ["conv", "bn"]
    for name, count in [("conv", 2), ("bn", 3)]:
        rates = [(p.lr_mult, p.decay_mult) for p in layer(net, name).param]
        assert rates == [(0, 0)] * count
    assert layer(net, "bn").batch_norm_param.use_global_stats
    assert [p.lr_mult for p in layer(net, "conv2").param] == [1, 2]


def test_what_cannot_be_frozen_is_said(net):
    with pytest.raises(GraphError, match="has no layer 'cnv'(.|\n)*did you mean 'conv'"):
        finetune.freeze(net, "cnv", BLOBS)
    with pytest.raises(GraphError, match="freezes 'ip', which must learn"):
        finetune.freeze(net, "relu", BLOBS)


def test_a_net_without_classes_is_refused(net):
    for x in net.layer:
        x.type = x.type.replace("SoftmaxWithLoss", "HingeLoss")
    with pytest.raises(GraphError, match="classifies"):
        finetune.heads(net)


def test_layers_without_weights_are_named(net):
    assert finetune.missing(net, {"conv"}, {"conv2"}) == ["ip"]
