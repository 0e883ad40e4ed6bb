"""The names with an underscore that pycaffe's nets have."""

import numpy as np
import pytest

from minidl import Net

TEXT = """
name: "n" force_backward: true
layer { name: "in" type: "Input" top: "x" top: "t" input_param {
  shape { dim: 2 dim: 3 } shape { dim: 2 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""


@pytest.fixture
def net():
    return Net(TEXT, seed=1)


def test_lists_by_number_say_what_the_dicts_by_name_say(net):
    assert list(net._layer_names) == ["in", "ip", "loss"] == list(net.layer_dict)
    assert net._blob_names == ["x", "t", "y", "loss"]
    assert all(blob is net.blobs[blob.name] for blob in net._blobs) and len(net._blobs) == 4
    assert net._blob_loss_weights == [0, 0, 0, 1]
    assert (net._inputs, net._outputs) == ([0, 1], [3])
    assert [net._bottom_ids(i) for i in range(3)] == [[], [0], [2, 1]]
    assert [net._top_ids(i) for i in range(3)] == [[0, 1], [2], [3]]


def test_passes_go_by_number(net):
    x, t = np.ones((2, 3)), np.zeros((2, 4))
    expected = float(net.forward(x=x, t=t)["loss"])
    gradient = net.backward()["x"].copy()
    assert net._forward(0, 2) == pytest.approx(expected)
    net._backward(2, 0)
    np.testing.assert_array_equal(net.blobs["x"].diff, gradient)
    net.blobs["y"].data[...] = 1
    assert net._forward(2, 2) == pytest.approx(8 / 2 / 2), "what lies in y is read"


def test_a_blob_reshaped_is_followed(net):
    for name, width in (("x", 3), ("t", 4)):
        net.blobs[name].reshape(5, width)
    net._forward(0, 2)
    assert net.blobs["y"].shape == (5, 4)


def test_batches_are_filled_up_with_zeros(net):
    first, last = net._batch({"x": np.ones((3, 3))})
    np.testing.assert_array_equal(first["x"], np.ones((2, 3)))
    np.testing.assert_array_equal(last["x"], [[1, 1, 1], [0, 0, 0]])


def test_arrays_for_a_memory_data_layer():
    net = Net("""layer { name: "m" type: "MemoryData" top: "x" top: "y" memory_data_param {
      batch_size: 2 channels: 1 height: 1 width: 1 } }""")
    net._set_input_arrays(np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1), np.arange(4.0))
    net.forward()
    assert net.forward()["x"].ravel().tolist() == [2, 3]


def test_no_names_may_be_none(net):
    assert set(net.forward(None, x=np.ones((2, 3)))) == {"loss"}
    assert set(net.backward(None)) == {"x", "t"}


def test_the_net_prints_as_a_prototxt(net):
    assert "minidl" not in str(net.param)
    assert str(net.param).startswith('name: "n"')
