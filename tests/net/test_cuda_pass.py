"""A training pass on a GPU: what of it Python does, and what happens where it is not recorded."""

import numpy as np
import pytest

from minidl import TRAIN, Net
from tests.fakegpu.stream import Stream

NET = """
layer { name: "d" type: "Input" top: "x" top: "t"
  input_param { shape { dim: 4 dim: 3 dim: 6 dim: 6 } shape { dim: 4 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "l" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "l" }
"""


def gradients_of_three_passes(device):
    """After each of them."""
    net = Net(NET, TRAIN, seed=2, device=device)
    write, host = net.device.write, net.device.to_host
    write(net.blobs["x"].data, np.random.default_rng(1).standard_normal((4, 3, 6, 6)))
    write(net.blobs["t"].data, np.arange(4))
    found = []
    for _ in range(3):
        net.clear_param_diffs()
        net.training_pass()
        found.append([np.array(host(param.read("diff"))) for param in net.learnable])
    return found


def broken(self):
    self._line.capture.end()
    raise RuntimeError("cudaErrorStreamCaptureInvalidated: something was not permitted")


@pytest.mark.parametrize("recording", ["works", "fails at its end"])
def test_gradients_are_those_of_each_pass_alone(gpu, monkeypatch, recording):
    """A recording that failed has gone through all of Python's part already, and it runs again."""
    if recording != "works":
        monkeypatch.setattr(Stream, "end_capture", broken)
    expected = gradients_of_three_passes("cpu")
    for mine, theirs in zip(gradients_of_three_passes("cuda:0"), expected, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
    assert (gpu.graphs > 0) == (recording == "works")


def test_why_a_pass_is_no_graph_is_said(gpu, monkeypatch):
    net = Net(NET, TRAIN, seed=2, device="cuda:0")
    assert net.graph_off == ""
    net.before_forward(lambda i: None)
    assert net.graph_off == "layers run one by one"
    assert Net(NET, TRAIN, seed=2).graph_off == "layers run one by one"
    monkeypatch.setenv("MINIDL_CUDA_GRAPHS", "0")
    assert Net(NET, TRAIN, seed=2, device="cuda:0").graph_off == "MINIDL_CUDA_GRAPHS is 0"
