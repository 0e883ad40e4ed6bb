"""LeNet learns to read, step by step: write a net, look into it, train it in a loop of one's own.

minidl dataset digits
python examples/learning_lenet.py           # 200 iterations
"""

from __future__ import annotations

import sys

import numpy as np

import minidl
from minidl import schema
from minidl.spec import layers as L
from minidl.spec import params as P

DIGITS = 360  # in the test set
BATCH = 60


def lenet(source: str, batch: int):
    """The net as a message; `minidl.prototxt.to_text(lenet(...))` would show it as prototxt."""
    n = minidl.NetSpec()
    n.data, n.label = L.Data(
        ntop=2, source=source, backend=P.Data.LMDB, batch_size=batch,
        transform_param=dict(scale=1 / 256),
    )  # fmt: skip
    xavier = dict(weight_filler=dict(type="xavier"))
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, **xavier)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, **xavier)
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.ip1 = L.InnerProduct(n.pool2, num_output=500, **xavier)
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.ip2 = L.InnerProduct(n.relu1, num_output=10, **xavier)
    n.loss = L.SoftmaxWithLoss(n.ip2, n.label)
    return n.to_proto()


def accuracy(net) -> float:
    """The share of the test digits that the net reads right."""
    right = 0
    for _ in range(DIGITS // BATCH):
        net.forward()
        right += (net.blobs["ip2"].data.argmax(axis=1) == net.blobs["label"].data).sum()
    return right / DIGITS


def main(iterations: int = 200) -> None:
    solver = minidl.get_solver(
        schema.SolverParameter(
            train_net_param=lenet("data/digits/train_lmdb", 64),
            test_net_param=[lenet("data/digits/test_lmdb", BATCH)],
            test_iter=[DIGITS // BATCH],
            test_interval=10**6,  # the loop below tests, with the solver's net for it, which
            test_initialization=False,  # has the weights of the one that learns
            base_lr=0.02,
            momentum=0.9,
            weight_decay=0.0005,
            lr_policy="fixed",
            random_seed=1701,
        )
    )
    net, test_net = solver.net, solver.test_nets[0]

    print("blobs, N x C x H x W, and parameters")
    for name, blob in net.blobs.items():
        print(f"  {name:6} {blob.shape}")
    for name, params in net.params.items():
        print(f"  {name:6} {' '.join(str(p.shape) for p in params)}")

    # A net that knows nothing gives each of ten digits a tenth: a loss of log(10).
    net.forward()
    print(f"\nloss before learning {float(net.blobs['loss'].data):.3f}, log(10) = {np.log(10):.3f}")
    net.backward()
    steepest = np.abs(net.params["conv1"][0].diff).max(axis=(1, 2, 3))
    print(f"largest gradient of conv1's filters: {steepest.min():.4f} to {steepest.max():.4f}")

    # What the net thinks of one digit, while it learns.
    test_net.forward()
    digit, label = test_net.blobs["data"].data[0].copy(), int(test_net.blobs["label"].data[0])
    print(f"\na {label}, and the net's confidence that it is one")
    for part in (64, 32, 16, 8, 4, 2, 1):
        solver.step(iterations // part - solver.iter)
        right = accuracy(test_net)
        scores = scores_of(test_net, digit)
        share = np.exp(scores - scores.max())
        share = share[label] / share.sum()
        loss = float(net.blobs["loss"].data)
        bar = "#" * round(30 * share)
        print(f"  iteration {solver.iter:4}  loss {loss:.3f}  accuracy {right:.3f}  |{bar:30}|")


def scores_of(net, digit: np.ndarray) -> np.ndarray:
    """The net's ten scores for one digit: data in, then forward from the layer after the data."""
    net.blobs["data"].data[0] = digit
    return net.forward(start="conv1", end="ip2")["ip2"][0].copy()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
