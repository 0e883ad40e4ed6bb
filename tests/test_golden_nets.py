"""Whole nets against a running Caffe: AlexNet's shape in small, LeNet on MNIST."""

import gzip

import numpy as np
import pytest

from minidl import prototxt
from minidl.arrays.device import Device
from minidl.engines.onednn import OneDNN
from minidl.engines.request import Declined
from minidl.net import Net
from minidl.solver import get_solver
from tests.places import on
from tests.support import golden, relative_error, shared


def solver_for(case):
    """A solver on the recorded net, started from the recorded weights."""
    param = prototxt.read_solver(str(case["solver"]))
    param.net_param.CopyFrom(prototxt.read_net(str(case["net"])))
    solver = get_solver(param)
    for name, params in solver.net.params.items():
        for i, blob in enumerate(params):
            blob.data[...] = case[f"init_{name}_{i}"]
    return solver


def first_update(solver, param):
    """What the first step takes off a weight: Caffe leaves this in the diff, and recorded it."""
    p = solver.param
    decayed = param.diff + p.weight_decay * param.decay_mult * param.data
    return p.base_lr * param.lr_mult * decayed


def losses(solver, batches, steps):
    """Train for so many steps on Input blobs; the loss of each."""
    out = []
    for t in range(steps):
        for name, value in zip(("data", "label"), batches(t), strict=True):
            solver.net.blobs[name].data[...] = value
        solver.step(1)
        out.append(solver.net.loss)
    return np.array(out)


@on("cpu/numpy", "cpu/onednn", "cuda:0", "cuda:0/numpy", "cuda:0/cudnn")
class TestAlexNetInSmall:
    """An eighth of the channels at 67 x 67: every kind of layer of AlexNet, groups and LRN."""

    def test_every_blob_and_gradient_of_the_first_step(self):
        case = golden("alexnet_mini.npz")
        solver = solver_for(case)
        net: Net = solver.net
        net.blobs["data"].data[...] = case["data"][0]
        net.blobs["label"].data[...] = case["labels"][0]
        net.clear_param_diffs()
        net.forward_pass()
        net.backward_pass()
        for key in case:
            kind, _, name = key.partition("_")
            if kind == "blob":
                assert relative_error(net.blobs[name].data, case[key]) < 1e-5, key
            if kind == "grad":
                layer, _, i = name.rpartition("_")
                got = first_update(solver, net.params[layer][int(i)])
                assert relative_error(got, case[key]) < 1e-5, key

    def test_thirty_losses(self):
        case = golden("alexnet_mini.npz")
        data, labels = case["data"], case["labels"]
        got = losses(solver_for(case), lambda t: (data[t % 4], labels[t % 4]), 30)
        np.testing.assert_allclose(got, case["loss"][:30], rtol=1e-3)


@pytest.fixture(scope="module")
def mnist():
    def read(name, offset):
        path = shared("data") / "mnist" / name
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)

    return {
        "train": (
            read("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28),
            read("train-labels-idx1-ubyte.gz", 8),
        ),
        "test": (
            read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28),
            read("t10k-labels-idx1-ubyte.gz", 8),
        ),
    }


def batches_of(images, labels, size=64):
    def batch(t):
        index = np.arange(size * t, size * (t + 1)) % len(images)
        return images[index] * np.float32(0.00390625), labels[index]

    return batch


def accuracy(solver, images, labels):
    """Share of the first 9,984 test images that the trained net gets right."""
    text = str(golden("lenet_mnist.npz")["net"])
    net = Net(text)
    net.share_with(solver.net)
    batch, right = batches_of(images, labels), []
    for t in range(9984 // 64):
        data, label = batch(t)
        right.append(float(net.forward(data=data, label=label)["accuracy"]))
    return np.mean(right)


@pytest.fixture(scope="module")
def lenet(mnist, engine):
    """Caffe's published solver on MNIST in file order, from Caffe's own first weights."""
    case = golden("lenet_mnist.npz")
    solver = solver_for(case)
    first_200 = losses(solver, batches_of(*mnist["train"]), 200)
    weights = {
        f"after200_{name}_{i}": param.data.copy()
        for name, params in solver.net.params.items()
        for i, param in enumerate(params)
    }
    return case, solver, first_200, weights


@on("cuda:0", "cuda:0/numpy")
def test_lenets_first_losses_on_mnist_on_a_gpu(mnist):
    case = golden("lenet_mnist.npz")
    solver = solver_for(case)
    first = losses(solver, batches_of(*mnist["train"]), 10)
    np.testing.assert_allclose(first, case["loss"][:10], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
class TestLeNetOnMnist:
    """In float32 two runs that add in different order part after some tens of steps: a maximum of
    pooling or the sign of a ReLU falls the other way once, and training amplifies it. Caffe's own
    recording leaves the float64 run of the same net by 1e-3 from step 83 on, by 2e-2 at most
    (docs/parity.md). So the beginning must agree closely, the rest as closely as that.
    """

    def test_the_losses_agree_closely_until_rounding_parts_them(self, lenet):
        case, _, first_200, _ = lenet
        np.testing.assert_allclose(first_200[:30], case["loss"][:30], rtol=1e-5)

    def test_the_first_200_losses_stay_as_near_as_float32_allows(self, lenet):
        case, _, first_200, _ = lenet
        error = np.abs(first_200 / case["loss"][:200] - 1)
        assert np.median(error) < 2e-3
        assert error.max() < 5e-2

    def test_caffes_weights_after_200_steps_give_caffes_next_loss(self, lenet, mnist):
        case, _, _, _ = lenet
        solver = solver_for(case)
        for name, params in solver.net.params.items():
            for i, param in enumerate(params):
                param.data[...] = case[f"after200_{name}_{i}"]
        [loss] = losses(solver, lambda t: batches_of(*mnist["train"])(200), 1)
        assert loss == pytest.approx(case["loss"][200], rel=1e-5)

    def test_the_weights_after_200_steps(self, lenet):
        case, _, _, weights = lenet
        for name in ("conv1", "conv2", "ip1", "ip2"):
            key = f"after200_{name}_0"
            assert relative_error(weights[key], case[key]) < 0.1, key

    def test_the_accuracy_after_1000_steps(self, lenet, mnist, engine):
        if engine == "numpy" and not isinstance(OneDNN.load(Device("cpu")), Declined):
            pytest.skip("array code takes half a minute for the rest of the way; oneDNN goes it")
        _, solver, _, _ = lenet
        batch = batches_of(*mnist["train"])
        losses(solver, lambda t: batch(200 + t), 800)
        assert abs(accuracy(solver, *mnist["test"]) - 0.9812) <= 0.002
