"""Which layers may run as one: what they compute and how they are joined decides, nothing else."""

import dataclasses

from minidl import ops
from minidl.net.fuse import groups
from minidl.net.node import Node

CONV = ops.Conv(8, (3,), (1,), (0,), (1,))
RELU = ops.Activation("relu")
LEAKY = ops.Activation("relu", 0.1)
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
    nodes = [DATA, node("pool", "x", "y", ops.Pool("MAX", (2, 2))), node("relu", "y", "y", RELU)]
    assert names(nodes) == ["data", "pool", "relu"]


NORM, SEEN = ops.BatchNorm(1e-5, 0.999, False), ops.BatchNorm(1e-5, 0.999, True)
AFFINE = ops.Affine(bias=True)


def test_normalisation_scale_and_relu_are_a_chain():
    nodes = [DATA, node("bn", "x", "y", NORM), node("scale", "y", "y", AFFINE)]
    nodes.append(node("relu", "y", "y", RELU))
    assert names(nodes) == ["data", "bn scale relu"]
    chain = [ops.Chain((NORM, AFFINE)), ops.Chain((NORM, AFFINE, RELU))]
    assert list(groups(nodes))[1].ops == (NORM, *chain)


def test_a_leaky_relu_ends_no_chain():
    nodes = [DATA, node("scale", "x", "y", AFFINE), node("relu", "y", "y", LEAKY)]
    assert names(nodes) == ["data", "scale", "relu"]


def test_without_a_backward_a_convolution_takes_in_what_is_constant_behind_it():
    constant = [node("bn", "y", "y", SEEN), node("scale", "y", "y", AFFINE)]
    nodes = [DATA, node("conv", "x", "y", CONV), *constant, node("relu", "y", "y", RELU)]
    assert names(nodes) == ["data", "conv bn scale relu"]
    nodes = [dataclasses.replace(n, needs_backward=True) for n in nodes]
    assert names(nodes) == ["data", "conv", "bn scale relu"]


def test_the_batchs_own_statistics_are_not_constant():
    nodes = [DATA, node("conv", "x", "y", CONV), node("bn", "y", "y", NORM)]
    assert names(nodes) == ["data", "conv", "bn"]


def test_where_gradients_between_can_be_seen_or_end_there_is_no_chain():
    def back(first_top="x", first=True, second=True, **facts):
        bn = node("bn", "x", first_top, NORM)
        scale = node("scale", first_top, first_top, AFFINE)
        bn = dataclasses.replace(bn, needs_backward=first, **facts)
        return names([bn, dataclasses.replace(scale, needs_backward=second)])

    assert back() == ["bn scale"]
    assert back(first_top="y") == ["bn", "scale"]  # y has the gradient between them, too
    assert back(first=False) == ["bn", "scale"]
    assert back(loss_weights=(1.0,)) == ["bn", "scale"]


def test_a_sum_ends_with_a_relu():
    nodes = [DATA, node("sum", "x x", "y", ops.Sum((1.0, 1.0))), node("relu", "y", "y", RELU)]
    assert names(nodes) == ["data", "sum relu"]
    split = ops.Sum((1.0, 1.0), split=True)
    assert names([node("split", "x", "y", split), node("relu", "y", "y", RELU)]) == [
        "split",
        "relu",
    ]


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
