"""Nets for use made of nets for training: what stays, what becomes an input, what gives scores."""

import numpy as np
import pytest

import minidl
from minidl import prototxt
from minidl.errors import GraphError
from minidl.prototxt import deploy

HEAD = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
layer { name: "t" type: "Data" top: "data" top: "label" include { phase: TEST } }
"""
BODY = """
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "side" type: "InnerProduct" bottom: "ip1" top: "side"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "side_loss" type: "SoftmaxWithLoss" bottom: "side" bottom: "label" top: "l1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" }
layer { name: "shifted" type: "Power" bottom: "label" top: "other" power_param { shift: 1 } }
layer { name: "quiet" type: "Silence" bottom: "other" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""


def made(text, shape=(2, 1, 5, 5), **state):
    return deploy.for_use(prototxt.read_net(text), shape, **state)


def test_the_last_loss_gives_scores_and_only_what_it_needs_stays():
    net = made(HEAD + BODY)
    assert [(x.name, x.type) for x in net.layer] == [
        ("t", "Input"), ("ip1", "InnerProduct"), ("relu", "ReLU"), ("ip2", "InnerProduct"),
        ("prob", "Softmax"),
    ]  # fmt: skip
    assert not any(layer.include for layer in net.layer)


def test_its_scores_are_those_of_the_net_that_was_trained():
    net = minidl.Net(made(HEAD + BODY), minidl.TEST, seed=3)
    x = np.random.default_rng(0).standard_normal((2, 1, 5, 5)).astype(np.float32)
    got = net.forward(data=x)["prob"]
    w1, b1, w2, b2 = (p.data.astype("f8") for name in ("ip1", "ip2") for p in net.params[name])
    y = np.maximum(x.reshape(2, -1) @ w1.T + b1, 0) @ w2.T + b2
    np.testing.assert_allclose(got, np.exp(y) / np.exp(y).sum(1, keepdims=True), rtol=1e-5)


def test_other_losses_are_left_out_and_yes_or_no_becomes_a_sigmoid():
    text = BODY.replace('"loss" type: "SoftmaxWithLoss"', '"loss" type: "SigmoidCrossEntropyLoss"')
    assert made(HEAD + text).layer[-1].type == "Sigmoid"
    both = BODY.replace("SoftmaxWithLoss", "HingeLoss")
    net = made(HEAD + both)
    assert [layer.name for layer in net.layer] == ["t", "ip1", "relu", "side", "ip2"]


def test_the_axis_of_the_loss_is_that_of_the_scores():
    text = BODY.replace('top: "loss"', 'top: "loss" softmax_param { axis: -1 }')
    assert made(HEAD + text).layer[-1].softmax_param.axis == -1


def test_a_name_that_is_taken_is_not_used_twice():
    net = made(HEAD + BODY.replace('"ip2"', '"prob"'))
    assert net.layer[-1].name == "loss_prob" and list(net.layer[-1].bottom) == ["prob"]


def test_rules_of_level_and_stage_hold():
    text = HEAD + BODY.replace('name: "relu"', 'name: "relu" include { stage: "sharp" }')
    assert "relu" not in [layer.name for layer in made(text).layer]
    assert "relu" in [layer.name for layer in made(text, stages=["sharp"]).layer]


def test_a_net_without_data_is_refused():
    with pytest.raises(GraphError, match="neither a data layer nor an Input layer"):
        made(BODY)
    assert not deploy.is_for_use(prototxt.read_net(HEAD + BODY))
    given = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 } } }'
    assert deploy.is_for_use(prototxt.read_net(given))
