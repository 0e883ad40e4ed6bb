"""ArgMax, TopK, Embed, BatchReindex and Filter in ONNX."""

import numpy as np
import pytest

from tests.onnx.support import check, layer_net, needs, random_inputs

CHOICES = {
    "one for each item": dict(),
    "three, with values": dict(top_k=3, out_max_val=True),
    "along an axis": dict(axis=1, top_k=2),
    "values along the last": dict(axis=-1, top_k=2, out_max_val=True),
}


@needs("ArgMax")
@pytest.mark.parametrize("keywords", CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 3, 2, 4)])
def test_of_equal_numbers_the_later_is_chosen(shape, keywords):
    net = layer_net("ArgMax", shape, **keywords)
    check(net)
    check(net, {"x0": np.round(random_inputs(net)["x0"])}, vary=False)


@needs("TopK")
@pytest.mark.parametrize("shape", [(3, 8), (2, 3, 2, 4)])
def test_top_k_keeps_the_first_of_equal_numbers(shape):
    net = layer_net("TopK", shape, k=3, a=2)
    check(net)
    check(net, {"x0": np.round(random_inputs(net)["x0"])}, vary=False)


@needs("Embed")
@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_embed(shape, bias):
    net = layer_net("Embed", shape, input_dim=6, num_output=5, bias_term=bias)
    words = np.random.default_rng(0).integers(6, size=shape).astype(np.float32)
    check(net, {"x0": words}, vary=False)


@needs("BatchReindex")
def test_batch_reindex():
    net = layer_net("BatchReindex", (4, 2, 3), (5,))
    index = np.array([3, 0, 0, 2, 3], np.float32)
    check(net, {"x0": random_inputs(net)["x0"], "x1": index}, vary=False)


@needs("Filter")
def test_the_channels_that_a_filter_keeps():
    net = layer_net("Filter", (2, 5, 3), num_output=2)
    net.params["layer"][0].data[...] = [0, 0, 1, 0, 1]
    check(net)
