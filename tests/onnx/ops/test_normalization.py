"""LRN, BatchNorm, BN, MVN, Normalize and Softmax in ONNX."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.net import Net
from minidl.onnx import convert
from tests.onnx.support import (
    check,
    check_layer,
    layer_net,
    needs,
    operators,
    outputs_there,
    random_inputs,
)

IMAGES = (2, 7, 4, 3)


@given(
    channels=st.integers(1, 8),
    size=st.sampled_from([1, 3, 5, 9]),
    beta=st.sampled_from([0.75, 0.6, 1.0]),
    k=st.sampled_from([0.5, 1.0, 2.0]),
)
@settings(max_examples=12)
def test_lrn_across_channels(channels, size, beta, k):
    net = check_layer("LRN", (2, channels, 3, 2), local_size=size, alpha=1.5, beta=beta, k=k)
    assert operators(net) == ["LRN"]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_lrn_within_a_channel_uses_one_in_place_of_k(size):
    shape = (2, 3, 5, 6)
    check_layer("LRN", shape, local_size=size, alpha=1.5, beta=0.6, norm_region="WITHIN_CHANNEL")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), IMAGES, (1, 2, 3, 2, 2)])
@pytest.mark.parametrize("keywords", [dict(eps=0.1), dict(eps=0.01, use_global_stats=False)])
def test_batch_norm(shape, keywords):
    net = layer_net("BatchNorm", shape, **keywords)
    check(net, random_inputs(net))
    uses_statistics = keywords.get("use_global_stats", True)
    assert ("BatchNormalization" in operators(net)) == uses_statistics


def test_batch_norm_before_it_has_seen_anything():
    net = layer_net("BatchNorm", IMAGES, eps=0.5)
    for param in net.params["layer"]:
        param.data[...] = 0
    check(net)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis):
    net = check_layer("Softmax", (3, 4, 5), axis=axis)
    assert operators(net) == ["Softmax"]


def test_the_probabilities_of_a_loss_are_carried_over_without_the_loss():
    net = Net("""
        layer { name: "in" type: "Input" top: "x" top: "label"
                input_param { shape { dim: 3 dim: 4 } shape { dim: 3 } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "label"
                top: "loss" top: "prob" }""")
    inputs = random_inputs(net)
    inputs["label"][...] = 1
    assert operators(net) == ["Softmax"]
    theirs = outputs_there(net, inputs)
    assert theirs.keys() == {"prob"}
    np.testing.assert_allclose(theirs["prob"], net.forward(["prob"], **inputs)["prob"], rtol=1e-5)


@needs("MVN")
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), IMAGES])
@pytest.mark.parametrize(
    "keywords",
    [dict(), dict(eps=0.5), dict(across_channels=True), dict(normalize_variance=False)],
)
def test_mvn(shape, keywords):
    check_layer("MVN", shape, **keywords)


@needs("MVN")
def test_mvn_of_equal_numbers_is_zero_even_without_eps():
    net = layer_net("MVN", (2, 3, 4), eps=0)
    check(net, {"x0": np.full((2, 3, 4), 0.25, np.float32)}, vary=False)


FORKS = {
    "SegNet": (dict(bn_mode="LEARN"), ["ReduceMean", "Sub"]),
    "SegNet, folded": (dict(bn_mode="INFERENCE"), ["Mul", "Add"]),
    "PSPNet": (dict(eps=0.1), ["BatchNormalization"]),
    "PSPNet, frozen": (dict(eps=0.5, frozen=True), ["BatchNormalization"]),
}


@needs("BN")
@pytest.mark.parametrize("keywords, begins", FORKS.values(), ids=FORKS.keys())
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), IMAGES, (1, 2, 3, 2, 2)])
def test_bn_of_either_fork(keywords, begins, shape):
    net = check_layer("BN", shape, **keywords)
    assert operators(net)[: len(begins)] == begins
    assert convert(net).batch, "it is fixed"


@needs("Norm")
@pytest.mark.parametrize("shape", [(2, 3), IMAGES])
def test_norm(shape):
    assert convert(check_layer("Norm", shape)).batch, "it is fixed"


@needs("Normalize")
@pytest.mark.parametrize("across_spatial", [True, False])
@pytest.mark.parametrize("channel_shared", [True, False])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), IMAGES])
def test_normalize(across_spatial, channel_shared, shape):
    keywords = dict(across_spatial=across_spatial, channel_shared=channel_shared, eps=0.3)
    net = check_layer("Normalize", shape, **keywords)
    assert convert(net).batch, "it is fixed"


@needs("Normalize")
@pytest.mark.parametrize("tops", [1, 2])
@pytest.mark.parametrize("length", ["L1", "L2"])
def test_normalize_as_caffe_windows_has_it(tops, length):
    keywords = dict(normalize_param=dict(normalize_type=length))
    check_layer("Normalize", (2, 3, 4), tops=tops, **keywords)


@needs("NormL2")
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
def test_norm_l2(shape):
    check_layer("NormL2", shape)


@needs("Normalize")
def test_the_length_of_zeros_is_the_root_of_eps():
    net = layer_net("Normalize", IMAGES, across_spatial=False)
    x = random_inputs(net)["x0"]
    x[0, :, 0] = 0
    assert np.any(outputs_there(net, {"x0": x})["y0"][0, :, 0]) == np.False_
    check(net, {"x0": x})
