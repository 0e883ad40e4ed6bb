"""Nets in which a layer has as many items in its tops as its bottoms' values say: the rest follows.

Filter is that layer, and a Python layer may be one. What they do by themselves stands in
tests/layers/test_filter.py and test_python_layer.py.
"""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.net import Net
from tests.places import on

# Every kind of layer that keeps something for its backward lies below the filter, and one whose
# statistics a second forward would change.
NET = """
layer {{ name: "in" type: "Input" top: "x" top: "s" top: "t" input_param {{
  shape {{ dim: 6 dim: 3 dim: 9 dim: 9 }} shape {{ dim: 6 dim: 1 }} shape {{ dim: 6 dim: 2 }} }} }}
layer {{ name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "b" type: "BatchNorm" bottom: "c" top: "b" }}
layer {{ name: "r" type: "ReLU" bottom: "b" top: "b" }}
layer {{ name: "p" type: "Pooling" bottom: "b" top: "p"
  pooling_param {{ kernel_size: 3 stride: 2 }} }}
layer {{ name: "again" type: "BatchNorm" bottom: "p" top: "p" }}
layer {{ name: "n" type: "LRN" bottom: "p" top: "n" }}
layer {{ name: "d" type: "Dropout" bottom: "n" top: "n" }}
{pick}
layer {{ name: "ip" type: "InnerProduct" bottom: "kept" top: "ip"
  inner_product_param {{ num_output: 2 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "target" top: "loss" }}
"""
FILTER = """
layer { name: "f" type: "Filter" bottom: "n" bottom: "t" bottom: "s" top: "kept" top: "target" }
"""
REINDEX = """
layer { name: "i" type: "Input" top: "i" input_param { shape { dim: 6 } } }
layer { name: "fn" type: "BatchReindex" bottom: "n" bottom: "i" top: "kept" }
layer { name: "ft" type: "BatchReindex" bottom: "t" bottom: "i" top: "target" }
"""
SELECTORS = [
    [1, 1, 1, 1, 1, 1],
    [0, 1, 0, -2, 0, 0.5],
    [0, 0, 1, 0, 1, 1],  # as many, others
    [0, 0, 0, 0, 1, 0],
    [1, 0, 1, 1, 1, 1],
]


def random(*shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def train(net, step, **inputs):
    """A pass in TRAIN; the loss, the tops, and all gradients of parameters."""
    host = net.device.to_host
    values = {"x": random(6, 3, 9, 9, seed=step), "t": random(6, 2, seed=50 + step), **inputs}
    for name, array in values.items():
        if net.blobs[name].shape != np.shape(array):
            net.blobs[name].reshape(*np.shape(array))
        net.device.write(net.blobs[name].data, np.asarray(array, np.float32))
    net.clear_param_diffs()
    loss = net.forward_pass()
    net.backward_pass()
    gradients = [np.array(host(param.diff)) for param in net.learnable]
    return [np.array(loss), np.array(host(net.blobs["kept"].data)), *gradients]


@on("cpu/numpy", "cpu/onednn", "cuda:0", "cuda:0/cudnn", "cuda:0/numpy")
def test_a_net_goes_on_with_the_items_that_pass(place):
    """As if it had been known before which: BatchReindex is told so."""
    filtering = Net(NET.format(pick=FILTER), phase="TRAIN", seed=3, share=True)
    picking = Net(NET.format(pick=REINDEX), phase="TRAIN", seed=3)
    for step, selector in enumerate(SELECTORS):
        passed = np.flatnonzero(selector)
        got = train(filtering, step, s=np.reshape(selector, (6, 1)))
        expected = train(picking, step, s=np.zeros((6, 1)), i=passed)
        assert got[1].shape[0] == len(passed)
        for array, wanted in zip(got, expected, strict=True):
            np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    for mine, theirs in zip(filtering.params["b"], picking.params["b"], strict=True):
        host = filtering.device.to_host
        np.testing.assert_allclose(host(mine.data), host(theirs.data), rtol=1e-5)


@on("cpu/numpy", "cuda:0")
def test_a_test_net_goes_on_too_and_does_not_share_memory(place):
    net = Net(NET.format(pick=FILTER), phase="TEST", seed=3, share=True)
    assert not net.share
    for count in (6, 2, 5):
        s = np.arange(6).reshape(6, 1) < count
        net.forward(x=random(6, 3, 9, 9, seed=1), s=s, t=np.zeros((6, 2)))
        assert net.blobs["ip"].shape == (count, 2)
        assert np.isfinite(net.device.to_host(net.blobs["ip"].read())).all()


@on("cuda:0")
def test_its_passes_are_not_recorded_as_a_graph(place):
    """Their number of items is read from the device in each of them."""
    net = Net(NET.format(pick=FILTER), phase="TRAIN", seed=3)
    for step, selector in enumerate(SELECTORS):
        net.device.write(net.blobs["x"].data, random(6, 3, 9, 9, seed=step))
        net.device.write(net.blobs["s"].data, np.reshape(selector, (6, 1)).astype(np.float32))
        loss = net.training_pass()
        assert np.isfinite(net.device.to_host(loss))
        assert net.blobs["kept"].shape[0] == np.count_nonzero(selector)


# Targets get their shapes only in the forward of a Python layer. When the input changes its size,
# those of the last pass do not fit what is below the losses.
STEP = """
layer {{ name: "c{i}" type: "Convolution" bottom: "{below}" top: "c{i}"
  convolution_param {{ num_output: 2 kernel_size: 3 weight_filler {{ type: "msra" }} }} }}
{target}
layer {{ name: "l{i}" type: "EuclideanLoss" bottom: "c{i}" bottom: "t{i}" top: "l{i}" }}
"""
LIKE = """layer {{ name: "t{i}" type: "Python" bottom: "c{i}" top: "t{i}"
  python_param {{ module: "tests.layers.user_layers" layer: "Like" }} }}"""
INPUT = """layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{
  shape {{ dim: 1 dim: {c} dim: {h} dim: {w} }} }} }}"""


def chain(h, w, target):
    steps, below = [INPUT.format(name="x", c=1, h=h, w=w)], "x"
    for i in (1, 2):
        size = {"c": 2, "h": h - 2 * i, "w": w - 2 * i}
        steps.append(STEP.format(i=i, below=below, target=target.format(i=i, name=f"t{i}", **size)))
        below = f"c{i}"
    return "".join(steps)


@on("cpu/numpy", "cpu/onednn", "cuda:0", "cuda:0/cudnn")
def test_shapes_that_forward_finds_need_not_fit_before(place):
    late = Net(chain(9, 9, LIKE), phase="TRAIN", seed=3, allow_python=True)
    host, held = late.device.to_host, late.blobs["t2"]
    for step, (h, w) in enumerate([(9, 9), (12, 7), (7, 12), (7, 12), (9, 9)]):
        known = Net(chain(h, w, INPUT), phase="TRAIN", seed=3)
        given = {"x": random(1, 1, h, w, seed=step)}
        losses = host(late.forward(**given)["l2"])
        for i in (1, 2):
            shape = known.blobs[f"t{i}"].shape
            given[f"t{i}"] = np.linspace(0, 1, known.blobs[f"t{i}"].count).reshape(shape)
        np.testing.assert_allclose(losses, host(known.forward(**given)["l2"]), rtol=1e-5)
        assert held is late.blobs["t2"] and held.shape == (1, 2, h - 4, w - 4)
        for net in (late, known):
            net.clear_param_diffs()
            net.backward()
        for mine, theirs in zip(late.learnable, known.learnable, strict=True):
            expected = host(theirs.diff)
            atol = 1e-5 * np.abs(expected).max()
            np.testing.assert_allclose(host(mine.diff), expected, rtol=1e-4, atol=atol)


def test_what_does_not_fit_when_all_is_known_is_refused(monkeypatch):
    """And the net goes on with inputs that do fit."""
    text = chain(9, 9, LIKE).replace('bottom: "c2" bottom: "t2"', 'bottom: "c2" bottom: "c1"')
    with pytest.raises(LayerConfigError, match="'l2'"):
        Net(text, allow_python=True)
    sizes = INPUT.format(name="z", c=2, h=5, w=5)
    text = sizes + chain(9, 9, LIKE).replace(
        'bottom: "c2" bottom: "t2"', 'bottom: "c2" bottom: "z"'
    )
    net = Net(text, allow_python=True)
    expected = float(net.forward(x=np.ones((1, 1, 9, 9)))["l2"])
    with pytest.raises(LayerConfigError, match="'l2'"):
        net.forward(x=np.ones((1, 1, 8, 9)))
    assert float(net.forward(x=np.ones((1, 1, 9, 9)))["l2"]) == expected
