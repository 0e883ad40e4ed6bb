"""forward_all and forward_backward_all: any number of items, as if the net took one at a time."""

import numpy as np
import pytest

import minidl

BATCH = 4
TEXT = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "w" type: "Input" top: "w" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" } } }
layer { name: "mul" type: "Eltwise" bottom: "ip" bottom: "w" top: "y"
  eltwise_param { operation: PROD } }
"""
RNG = np.random.default_rng(3)


@pytest.fixture
def net():
    return minidl.Net(TEXT, seed=1)


def reference(net, x, w):
    """(ip, y) in float64."""
    weight, bias = (param.data.astype(np.float64) for param in net.params["ip"])
    ip = x @ weight.T + bias
    return ip, ip * w


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_outputs_for_any_number_of_items(net, count):
    x, w = RNG.standard_normal((2, count, 3))
    ip, y = reference(net, x, w)
    found = net.forward_all(blobs=["ip"], x=list(x), w=w)
    assert set(found) == {"y", "ip"}
    np.testing.assert_allclose(found["y"], y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["ip"], ip, rtol=1e-5, atol=1e-6)
    assert net.blobs["x"].shape == (BATCH, 3)


def test_what_is_returned_is_a_copy(net):
    first = net.forward_all(x=np.ones((4, 3)), w=np.ones((4, 3)))["y"]
    kept = first.copy()
    net.forward_all(x=np.zeros((4, 3)), w=np.ones((4, 3)))
    np.testing.assert_array_equal(first, kept)


def test_gradients_for_any_number_of_items(net):
    x, w, dy = RNG.standard_normal((3, 6, 3))
    ip, y = reference(net, x, w)
    outs, diffs = net.forward_backward_all(diffs=["ip"], x=x, w=w, y=dy)
    np.testing.assert_allclose(outs["y"], y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(diffs["ip"], dy * w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(diffs["w"], dy * ip, rtol=1e-5, atol=1e-6)
    weight = net.params["ip"][0].data
    np.testing.assert_allclose(diffs["x"], (dy * w) @ weight, rtol=1e-5, atol=1e-5)


def test_a_loss_is_given_batch_by_batch():
    net = minidl.Net(
        """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "sum" type: "Reduction" bottom: "x" top: "sum" }"""
    )
    x = np.arange(18.0).reshape(6, 3)
    assert net.forward_all(x=x)["sum"].tolist() == [15, 51, 87]


ONES = np.ones((4, 3))
REFUSED = {
    "missing": (dict(x=ONES), "no values for w"),
    "unknown": (dict(x=ONES, w=ONES, v=ONES), "'v' is not one of its inputs(.|\n)*x, w"),
    "counts": (dict(x=ONES, w=ONES[:2]), "4 of x, 2 of w"),
    "none": (dict(x=ONES[:0], w=ONES[:0]), "0 of x"),
}


@pytest.mark.parametrize("given, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused(net, given, message):
    with pytest.raises(minidl.MinidlError, match=message):
        net.forward_all(**given)


def test_a_net_without_inputs_is_refused():
    net = minidl.Net(
        """name: "d" layer { name: "x" type: "DummyData" top: "x" dummy_data_param {
        shape { dim: 5 } } }"""
    )
    with pytest.raises(minidl.MinidlError, match="net 'd': it has no inputs"):
        net.forward_all(x=ONES)
