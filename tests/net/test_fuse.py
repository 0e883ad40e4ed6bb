"""Which layers may run as one: what they compute and how they are joined decides, nothing else."""

import dataclasses

from minidl import ops
from minidl.net.fuse import groups
from minidl.net.node import Node

CONV = ops.Conv(8, (3,), (1,), (0,), (1,))
RELU = ops.Activation("relu")
SIGMOID = ops.Activation("sigmoid")


def node(name, bottom, top, op=None):
    return Node(name, tuple(bottom.split()), tuple(top.split()), op=op)


def names(nodes, **given):
    return [" ".join(n.name for n in group.nodes) for group in groups(nodes, **given)]


DATA = node("data", "", "x")


def test_a_relu_in_place_on_a_convolution_is_one_with_it():
    nodes = [DATA, node("conv", "x", "y", CONV), node("relu", "y", "y", RELU)]
    assert names(nodes) == ["data", "conv relu"]
    assert [group.op for group in groups(nodes)] == [None, dataclasses.replace(CONV, then=RELU)]


def test_or_on_an_inner_product():
    nodes = [DATA, node("ip", "x", "y", ops.Gemm(5)), node("relu", "y", "y", RELU)]
    assert names(nodes) == ["data", "ip relu"]


def test_a_relu_with_a_top_of_its_own_is_not():
    nodes = [DATA, node("conv", "x", "y", CONV), node("relu", "y", "z", RELU)]
    assert names(nodes) == ["data", "conv", "relu"]


def test_nor_is_another_activation_or_another_layer_before_it():
    nodes = [DATA, node("conv", "x", "y", CONV), node("sigmoid", "y", "y", SIGMOID)]
    assert names(nodes) == ["data", "conv", "sigmoid"]
    nodes = [
        DATA,
        node("bn", "x", "y", ops.BatchNorm(1e-5, 0.999, False)),
        node("relu", "y", "y", RELU),
    ]
    assert names(nodes) == ["data", "bn", "relu"]


def test_nor_one_in_place_on_something_else():
    nodes = [DATA, node("conv", "x", "y", CONV), node("relu", "x", "x", RELU)]
    assert names(nodes) == ["data", "conv", "relu"]


def test_who_is_not_willing_runs_alone():
    nodes = [DATA, node("conv", "x", "y", CONV), node("relu", "y", "y", RELU)]
    assert names(nodes, willing=lambda n: n.name != "relu") == ["data", "conv", "relu"]


def test_of_two_activations_the_first_is_taken():
    nodes = [DATA, node("conv", "x", "y", CONV), *[node(r, "y", "y", RELU) for r in ("r1", "r2")]]
    assert names(nodes) == ["data", "conv r1", "r2"]


def test_each_node_is_in_one_group_in_order():
    convs = [node(f"c{i}", f"x{i}", f"x{i + 1}", CONV) for i in range(5)]
    nodes = [node("data", "", "x0"), *convs, node("relu", "x5", "x5", RELU)]
    assert " ".join(names(nodes)).split() == [n.name for n in nodes]
