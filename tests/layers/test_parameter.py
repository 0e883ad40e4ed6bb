"""Parameter: a top that is learned."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.net import Net
from minidl.testing.harness import build, run

VALUE = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -4.0]])


def test_the_top_is_the_parameter_and_the_gradient_is_added_to_it():
    layer = build("Parameter", shape=dict(dim=[2, 3]))
    _, (y,) = run(layer, params=[VALUE])
    np.testing.assert_array_equal(y.data, VALUE)
    y.diff[...] = VALUE
    layer.value.diff.fill(1)
    layer.backward([y], [], [])
    np.testing.assert_array_equal(layer.value.diff, VALUE + 1)
    layer.value.wanted = False
    layer.backward([y], [], [])
    np.testing.assert_array_equal(layer.value.diff, VALUE + 1)


NET = """
layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 2 dim: 3 } } }
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "p" bottom: "x" top: "loss" }
"""


def test_a_net_learns_it_from_zero():
    net = Net(NET, phase="TRAIN")
    assert not net.params["p"][0].data.any()
    for _ in range(60):
        net.blobs["x"].data[...] = VALUE
        net.clear_param_diffs()
        net.forward_pass()
        net.backward_pass()
        (param,) = net.params["p"]
        param.data[...] -= 0.5 * param.diff
    np.testing.assert_allclose(param.data, VALUE, atol=1e-5)


def test_a_shape_has_to_be_given():
    with pytest.raises(LayerConfigError, match=r"Parameter layer 'p'.*shape is missing"):
        build("Parameter", name="p")
